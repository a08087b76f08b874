"""Vitis HLS: C++ with pragmas, and the schedules for it."""
