"""From groups of graph ops to kernels: what a group is, which family takes it, and why not."""
