"""The kernel families, a folder each: how a group of graph ops is cut, and the loops that it becomes."""
