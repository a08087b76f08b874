"""`graph.matmul` and `graph.batch_matmul`."""
