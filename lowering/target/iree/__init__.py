"""IREE, which compiles and runs the programs of CPUs and GPUs."""
