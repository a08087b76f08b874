"""Terrace's own dialects: `graph` (what is computed), `kernel` (its schedule), `loop` (what runs)."""
