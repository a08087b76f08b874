"""Norms and softmax: reductions of rows whose result has the rows' shape."""
