"""Groups of elementwise ops."""
