"""The targets, and what they share: from loops to programs."""
