"""`graph.conv2d` of images in NHWC."""
