"""Terrace's own dialects: `graph` (what is computed), `kernel` (how it is cut), `loop` (what runs)."""
