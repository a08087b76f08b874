"""`graph.encoded_matmul`."""
