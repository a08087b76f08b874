"""What tuning has measured: a file of JSON with a record for each kernel and machine, of plain data only.

    {"version": 1, "records": [
    {"kernel": "func.func ...", "weights": [...], "variants": true, "machine": {...},
     "chosen": {"cuts": ...}, "chosen_seconds": ..., "best": {"cuts": ...}, "best_seconds": ..., "tried": 8}, ...]}

A record holds for the kernel of this text, where these arguments are weights, on machines of this description, as long
as the cost model chooses `chosen`: what it chose anew later, nobody has measured.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from terrace.dialects.base import to_python
from terrace.errors import CompileError
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.view import KernelView, schedule_op
from terrace.machine import Machine
from terrace.mlir import ir
from terrace.storage.files import open_regular, write_file

VERSION = 1

MOST_BYTES = 64 << 20
"""A larger file is none of ours: a model has a few hundred kernels at most."""

_NAME = "kernel"


@dataclasses.dataclass(frozen=True)
class TunedKernel:
    """What a record is of: a kernel, which of its arguments are weights, whether it may be computed by variants, and
    the numbers of a machine, as JSON."""

    kernel: str
    weights: tuple[bool, ...]
    variants: bool
    machine: str

    @staticmethod
    def of(kernel: KernelView, machine: Machine, variants: bool = True) -> TunedKernel:
        described = json.dumps(dataclasses.asdict(machine), sort_keys=True)
        return TunedKernel(_text_of(kernel), kernel.constant, variants, described)


def _text_of(kernel: KernelView) -> str:
    """A kernel's text without its name and its schedule."""
    copy = kernel.function.operation.clone()
    try:
        copy.attributes["sym_name"] = ir.StringAttr.get(_NAME)
        schedule_op(copy.opview).operation.attributes["schedule"] = ir.DictAttr.get({})
        return copy.get_asm(assume_verified=True)
    finally:
        copy.erase()


@dataclasses.dataclass(frozen=True)
class Record:
    """The schedule that the cost model chose, the fastest of those that were `tried`, which may be the same, and the
    seconds of both. Schedules are what their attributes hold."""

    chosen: Mapping[str, Any]
    chosen_seconds: float
    best: Mapping[str, Any]
    best_seconds: float
    tried: int

    @property
    def gain(self) -> float:
        """How many times as fast the best one is."""
        return self.chosen_seconds / self.best_seconds


def described(schedule: Schedule) -> dict[str, Any]:
    """A schedule as a record holds it."""
    found: dict[str, Any] = to_python(schedule.to_attribute())
    return found


Records = dict[TunedKernel, Record]


def read_records(path: str | os.PathLike[str]) -> Records:
    """What a file holds; nothing if there is none. Raises CompileError for what is no file of ours, OSError for what
    cannot be read."""
    try:
        with open_regular(path) as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    try:
        if len(data) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        whole = json.loads(data)
        if not isinstance(whole, dict) or "version" not in whole:
            raise ValueError("it has no version")
        if whole["version"] != VERSION:
            raise ValueError(f"it has version {whole['version']!r:.40}, and this Terrace reads version {VERSION}")
        _require_keys(whole, ("version", "records"), "it")
        if not isinstance(whole["records"], list):
            raise ValueError("its records are no list")
        return dict(_read(record, f"record {number}") for number, record in enumerate(whole["records"]))
    except (ValueError, RecursionError) as error:
        raise CompileError(
            f"{os.fspath(path)} holds no tuning records: {error}; name another file, or delete this one to tune anew"
        ) from error


_KEY_TYPES = {"kernel": str, "weights": list, "variants": bool, "machine": dict}
_RECORD_TYPES = {"chosen": dict, "chosen_seconds": float, "best": dict, "best_seconds": float, "tried": int}


def _require_keys(value: Any, keys: Iterable[str], where: str) -> None:
    if not isinstance(value, dict) or set(value) != set(keys):
        raise ValueError(f"{where} must have {', '.join(keys)} and nothing else")


def _read(value: Any, where: str) -> tuple[TunedKernel, Record]:
    types = {**_KEY_TYPES, **_RECORD_TYPES}
    _require_keys(value, types, where)
    for name, type_ in types.items():
        if type(value[name]) is not type_:
            raise ValueError(f"'{name}' of {where} must be of type {type_.__name__}, got {value[name]!r:.40}")
    if not all(type(item) is bool for item in value["weights"]):
        raise ValueError(f"'weights' of {where} must be true or false for each argument")
    # NaN is not above zero either.
    if not all(0 < value[name] < float("inf") for name in ("chosen_seconds", "best_seconds")):
        raise ValueError(f"the seconds of {where} must be above zero")
    if value["best_seconds"] > value["chosen_seconds"]:
        raise ValueError(f"the best schedule of {where} is slower than the chosen one")
    machine = json.dumps(value["machine"], sort_keys=True)
    tuned = TunedKernel(value["kernel"], tuple(value["weights"]), value["variants"], machine)
    return tuned, Record(**{name: value[name] for name in _RECORD_TYPES})


def write_records(path: str | os.PathLike[str], records: Records) -> None:
    """Write a file that takes the place of what is there, whole or not at all; a record a line, sorted."""
    lines = [_line(tuned, record) for tuned, record in records.items()]
    text = ",\n".join(sorted(lines))
    write_file(path, f'{{"version": {VERSION}, "records": [\n{text}\n]}}\n')


def _line(tuned: TunedKernel, record: Record) -> str:
    key = {**dataclasses.asdict(tuned), "machine": json.loads(tuned.machine)}
    return json.dumps({**key, **dataclasses.asdict(record)})


def digest_of(records: Records) -> str:
    """What of the records programs depend on, as a hash: the schedules, and not how long they took."""
    lines = sorted(
        json.dumps([dataclasses.astuple(tuned), record.chosen, record.best], sort_keys=True)
        for tuned, record in records.items()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
