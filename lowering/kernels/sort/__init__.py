"""Kernels that say where elements stand in order."""
