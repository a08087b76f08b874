"""Passes between two levels."""
