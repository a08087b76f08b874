"""Compiled models as data: reading, changing and writing `.terrace` files, without loading what they hold."""

from terrace.storage.artifact import Artifact, Entry, State, read_artifact, write_artifact

__all__ = ["Artifact", "Entry", "State", "read_artifact", "write_artifact"]
