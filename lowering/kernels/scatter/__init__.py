"""Kernels that update at indices."""
