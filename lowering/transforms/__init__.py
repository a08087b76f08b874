"""Passes within a level, on graph ops."""
