"""Pooling of images in NHWC."""
