"""The loop dialect: WHAT RUNS. Loops over memrefs around tile ops."""

from terrace.mlir import ext


class Loop(ext.Dialect, name="loop"):
    """The namespace `loop.`"""
