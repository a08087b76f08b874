"""The patterns of `convert-graph-to-linalg`, one file per family of ops, over the shared `builders`."""
