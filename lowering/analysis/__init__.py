"""What passes and reports ask of a module, and change nothing."""
