"""Pipelines of passes as text: names, options, plug-ins, checks between passes."""
