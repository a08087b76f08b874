"""`terrace-bench`: Terrace's kernels and models against those of other engines, and the compiler's own time."""
