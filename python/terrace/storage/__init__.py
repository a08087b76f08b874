"""Compiled models in files: `.terrace` archives, the compile cache and its keys."""
