"""Passes and what they are made of: from the graph dialect to programs, a folder per task."""
