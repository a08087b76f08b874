"""`graph.reduce`."""
