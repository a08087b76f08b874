"""Kernels that weigh elements along an axis: interpolation, means of windows."""
