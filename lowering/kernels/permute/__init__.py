"""Kernels that reorder the dimensions of a tensor."""
