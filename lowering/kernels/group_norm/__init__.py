"""`graph.group_norm`: norms over groups of channels of an image."""
