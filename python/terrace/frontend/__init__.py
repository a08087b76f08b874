"""From PyTorch to the graph dialect."""

from __future__ import annotations

from terrace.frontend.aten_graph import import_aten_graph
from terrace.frontend.export import export_program
from terrace.frontend.fingerprint import fingerprint
from terrace.frontend.importer import ImportedModel, import_entries, import_model
from terrace.frontend.source import lines_of
from terrace.frontend.symbol_names import SymbolNames, shared_names, written_buffers

__all__ = [
    "SymbolNames",
    "ImportedModel",
    "export_program",
    "fingerprint",
    "import_aten_graph",
    "import_entries",
    "import_model",
    "lines_of",
    "shared_names",
    "written_buffers",
]
