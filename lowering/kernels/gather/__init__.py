"""Kernels that read at indices."""
