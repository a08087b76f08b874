"""Kernels of running sums, products and extremes."""
