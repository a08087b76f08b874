"""From PyTorch to the graph dialect. The only package that imports torch."""

from __future__ import annotations

from terrace.frontend.importer import ImportedModel, import_model

__all__ = ["ImportedModel", "import_model"]
