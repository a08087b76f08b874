"""Loading and running compiled models. Nothing here imports torch or a compiler."""
