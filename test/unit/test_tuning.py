"""Tuning: what is measured and what is taken, the file of records, and how compilations use it."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import terrace
import torch
from terrace.compiler import PyTorch, Request, build, lower
from terrace.compiler.timing import Call
from terrace.compiler.tuning import TunedRow, tune
from terrace.compiler.tuning_trial import Trial, fastest, is_close
from terrace.dialects.context import create_context
from terrace.errors import CompileError
from terrace.lowering.kernels.schedule import Schedule
from terrace.lowering.kernels.tuning_records import (
    Record,
    Records,
    TunedKernel,
    described,
    digest_of,
    read_records,
    write_records,
)
from terrace.storage import cache
from terrace.target import CpuDescription, Target
from terrace.torch_compile.options import BackendOptions
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
TARGET = Target(threads=1, cpu=CpuDescription())


def words_of(schedule: Schedule) -> dict[str, Any]:
    with create_context():
        return described(schedule)


TILES = [Schedule.of({"m": rows, "n": 16}) for rows in (1, 2)]
RECORDS: Records = {
    TunedKernel(f"kernel {number}", (False, True), True, '{"workers": 1}'): Record(
        words_of(TILES[0]), 2e-6, words_of(TILES[number]), 1e-6, 3
    )
    for number in (0, 1)
}


class Layers(nn.Module):
    """Two equal layers with equal epilogues, which are one kernel to tune, and a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(96, 96), nn.Linear(96, 96), nn.Linear(96, 40)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.last(torch.relu(self.second(torch.relu(self.first(x))))), -1)


torch.manual_seed(0)
MODEL, X = Layers().eval(), torch.randn(48, 96)


def source() -> PyTorch:
    return PyTorch(MODEL, (X,))


def request(file: Path, **options: Any) -> Request:
    return Request.of(TARGET, options={"tune": {"file": str(file), "trials": 3, **options}})


def only_chosen(calls: Mapping[str, Call], rounds: int) -> Mapping[str, float]:
    """Nothing is clearly faster."""
    return {name: 1.0 if name == "0" else 0.98 for name in calls}


def last_wins(calls: Mapping[str, Call], rounds: int) -> Mapping[str, float]:
    return {name: 1.0 / (1 + int(name)) for name in calls}


def schedules(file: Path) -> list[tuple[Any, Any]]:
    return [(record.chosen, record.best) for record in read_records(file).values()]


# -- what is taken ----------------------------------------------------------------------------------------------------


def _times(*turns: dict[str, float]) -> Any:
    """A measure that gives these, one after the other."""
    left = list(turns)

    def measure(calls: Mapping[str, Call], rounds: int) -> Mapping[str, float]:
        times = left.pop(0)
        return {name: times[name] for name in calls}

    return measure


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        # Not faster, or not by enough.
        ([{"0": 1.0, "1": 1.0, "2": 1.2}], ("0", 1.0, 1.0)),
        ([{"0": 1.0, "1": 0.975, "2": 1.2}], ("0", 1.0, 1.0)),
        # Faster, and again; the times are those of the second comparison.
        ([{"0": 1.0, "1": 0.9, "2": 1.2}, {"0": 1.1, "1": 0.9}], ("1", 1.1, 0.9)),
        # It was chance.
        ([{"0": 1.0, "1": 0.9, "2": 1.2}, {"0": 1.0, "1": 1.0}], ("0", 1.0, 1.0)),
        # Chance, and then the next one.
        ([{"0": 1.0, "1": 0.9, "2": 0.8}, {"0": 1.0, "2": 1.1}, {"0": 1.0, "1": 0.9}], ("1", 1.0, 0.9)),
    ],
)
def test_the_choice_is_kept_unless_another_is_clearly_faster_twice(
    turns: list[dict[str, float]], expected: tuple[str, float, float]
) -> None:
    assert fastest(dict.fromkeys("012", lambda: None), _times(*turns)) == expected


def test_results_are_held_against_those_of_the_choice() -> None:
    y = np.linspace(-2, 2, 1000, dtype=np.float32)
    special = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    assert is_close([y, special], [y + 1e-5, special], 1e-4)
    assert not is_close([y, special], [y + 1e-3, special], 1e-4)
    assert not is_close([special], [special[[0, 2, 1, 3]]], 1e-4)
    assert not is_close([special], [np.ones(4, np.float32)], 1e-4)
    numbers = np.arange(1000, dtype=np.int8)
    flipped = numbers.copy()
    flipped[:5] += 1
    assert is_close([flipped], [numbers], 1e-4)
    assert not is_close([numbers + 1], [numbers], 1e-4)
    flipped[0] += 1
    assert not is_close([flipped], [numbers], 1e-4)
    assert is_close([np.empty((0, 3), np.float32)], [np.empty((0, 3), np.float32)], 1e-4)


# -- the file ---------------------------------------------------------------------------------------------------------


def test_records_come_back(tmp_path: Path) -> None:
    file = tmp_path / "records.json"
    assert read_records(file) == {}
    write_records(file, {})
    assert read_records(file) == {}
    write_records(file, RECORDS)
    assert read_records(file) == RECORDS
    before = file.read_bytes()
    write_records(file, dict(reversed(RECORDS.items())))
    assert file.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["records.json"]


def _changed(**fields: Any) -> str:
    """A file with one record, in which some fields are others, or missing if they are `...`."""
    (line, *_) = [line for line in _text(RECORDS).splitlines() if line.startswith('{"kernel"')]
    record = {**json.loads(line.rstrip(",")), **fields}
    return json.dumps({"version": 1, "records": [{name: v for name, v in record.items() if v is not ...}]})


def _text(records: Records) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "records.json"
        write_records(file, records)
        return file.read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Expecting value"),
        ("[]", "it has no version"),
        ('{"version": 2, "records": []}', "version 2, and this Terrace reads version 1"),
        ('{"version": 1}', "it must have version, records"),
        ('{"version": 1, "records": {}}', "its records are no list"),
        ('{"version": 1, "records": [3]}', "record 0 must have kernel"),
        (_changed(kernel=...), "record 0 must have kernel"),
        (_changed(more=1), "record 0 must have kernel"),
        (_changed(kernel=1), "'kernel' of record 0 must be of type str, got 1"),
        (_changed(weights=[1]), "'weights' of record 0"),
        (_changed(best="direct"), "'best' of record 0 must be of type dict"),
        (_changed(best_seconds=1), "'best_seconds' of record 0 must be of type float"),
        (_changed(best_seconds=float("nan")), "above zero"),
        (_changed(chosen_seconds=0.0), "above zero"),
        (_changed(best_seconds=1.0), "the best schedule of record 0 is slower than the chosen one"),
        ("[" * 100_000, "holds no tuning records"),
        ("\0\xff", "holds no tuning records"),
    ],
)
def test_other_files_are_refused(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "records.json"
    file.write_text(text)
    with pytest.raises(CompileError) as caught:
        read_records(file)
    assert words in str(caught.value) and str(file) in str(caught.value) and "name another file" in str(caught.value)
    with pytest.raises(CompileError, match="holds no tuning records"):
        terrace.compile(MODEL, (X,), target=TARGET, options={"tune": file})
    assert file.read_text() == text


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=str(tmp_path)):
        read_records(tmp_path)


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "records.json"
    write_records(file, RECORDS)

    def fail(*_: Any) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        write_records(file, {})
    assert read_records(file) == RECORDS and [path.name for path in tmp_path.iterdir()] == ["records.json"]


def test_the_digest_is_of_schedules_and_not_of_times() -> None:
    tuned, record = next(iter(RECORDS.items()))
    slower = Record(record.chosen, 9.0, record.best, 8.0, 5)
    other = Record(record.chosen, record.chosen_seconds, words_of(TILES[1]), record.best_seconds, record.tried)
    assert digest_of({tuned: record}) == digest_of({tuned: slower})
    assert len({digest_of({tuned: record}), digest_of({tuned: other}), digest_of({}), digest_of(RECORDS)}) == 4


# -- the option -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (3, "must be the path"),
        ({"trials": 3}, "with a 'file'"),
        ({"file": "x", "rounds": 3}, "must be the path"),
        ({"file": "x", "trials": 0}, "'trials'"),
        ({"file": "x", "trials": True}, "'trials'"),
        ({"file": "x", "seconds": -1}, "'seconds'"),
        ({"file": "x", "seconds": float("nan")}, "'seconds'"),
        ({"file": "x", "size": 0}, "'size'"),
    ],
)
def test_an_option_that_says_nothing_is_refused(given: Any, words: str) -> None:
    with pytest.raises(CompileError, match=words):
        Request.of(options={"tune": given})


def test_it_is_for_cpus(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="option 'tune' is for target cpu, got 'hls'"):
        tune(source(), Request.of("hls", options={"tune": tmp_path / "records.json"}))
    with pytest.raises(CompileError, match="not for the regions"):
        BackendOptions.of({"tune": "records.json"})


# -- models -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TunedRow]]:
    """Records in which the last candidate of each kernel is the fastest."""
    file = tmp_path_factory.mktemp("tuned") / "records.json"
    return file, tune(source(), request(file), last_wins)


def test_equal_kernels_are_tuned_once_and_the_largest_first(tuned: tuple[Path, list[TunedRow]]) -> None:
    file, rows = tuned
    assert [(row.kernel.partition("_")[0], row.calls) for row in rows] == [("matmul", 2), ("matmul", 1), ("softmax", 1)]
    assert all(row.measured and not row.differs and not row.notes for row in rows)
    assert len(read_records(file)) == 3
    assert all(row.record is not None and row.record.best != row.record.chosen for row in rows)
    assert all(row.record is not None and row.record.tried == 3 and row.record.gain == 3.0 for row in rows)


def test_the_fastest_is_compiled(tuned: tuple[Path, list[TunedRow]], monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is measured where the records say it all."""
    file, _ = tuned
    before = file.read_bytes()
    monkeypatch.setattr(Trial, "run", None)
    compiled = terrace.compile(MODEL, (X,), target=TARGET, options={"tune": {"file": file, "trials": 3}})
    plain = terrace.compile(MODEL, (X,), target=TARGET)
    assert file.read_bytes() == before
    assert compiled.ir("kernel") != plain.ir("kernel")
    torch.testing.assert_close(compiled(X), MODEL(X), rtol=0, atol=1e-5)
    # Text that was lowered so far carries its schedules.
    assert terrace.compile_mlir(compiled.ir("kernel"), MODEL.state_dict(), target=TARGET).ir("loop") == compiled.ir(
        "loop"
    )


def test_the_choice_stays_where_nothing_is_faster(tmp_path: Path) -> None:
    file = tmp_path / "records.json"
    rows = tune(source(), request(file), only_chosen)
    assert all(row.record is not None and row.record.best == row.record.chosen for row in rows)
    assert all(chosen == best for chosen, best in schedules(file))
    with_records = lower(source(), request(file)).ir["kernel"]
    assert with_records == lower(source(), Request.of(TARGET)).ir["kernel"]


def test_it_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    file, count = tmp_path / "records.json", 0

    def interrupted(calls: Mapping[str, Call], rounds: int) -> Mapping[str, float]:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return only_chosen(calls, rounds)

    with pytest.raises(KeyboardInterrupt):
        tune(source(), request(file), interrupted)
    assert len(read_records(file)) == 1
    rows = tune(source(), request(file), only_chosen)
    assert [row.measured for row in rows] == [False, True, True] and len(read_records(file)) == 3
    assert not any(row.measured for row in tune(source(), request(file), only_chosen))


def test_time_that_is_up_leaves_the_choice(tmp_path: Path) -> None:
    file = tmp_path / "records.json"
    rows = tune(source(), request(file, seconds=0), last_wins)
    assert [row.record for row in rows] == [None] * 3 and not file.exists()


def test_other_machines_and_options_have_records_of_their_own(tuned: tuple[Path, list[TunedRow]]) -> None:
    file, _ = tuned
    records = read_records(file)
    for other in (
        Request.of(Target(threads=1, cpu=CpuDescription(l2_bytes=2 << 20)), options={"tune": file}),
        Request.of(TARGET, options={"tune": file, "winograd": False}),
    ):
        plain = Request.of(other.target, options={"winograd": other.winograd})
        assert lower(source(), other).ir["kernel"] == lower(source(), plain).ir["kernel"]
    assert read_records(file) == records


def test_a_stale_record_is_named_and_measured_anew(tuned: tuple[Path, list[TunedRow]], tmp_path: Path) -> None:
    file = tmp_path / "records.json"
    records = read_records(tuned[0])
    largest, *others = [
        key for row in tuned[1] for key, record in records.items() if record is row.record or record == row.record
    ]
    changed = {
        largest: Record(words_of(TILES[0]), 2.0, records[largest].best, 1.0, 3),
        others[0]: Record(records[others[0]].chosen, 2.0, words_of(Schedule.of({"q": 3})), 1.0, 3),
        others[1]: Record(records[others[1]].chosen, 2.0, {"cuts": [None]}, 1.0, 3),
    }
    write_records(file, changed)
    with pytest.warns(RuntimeWarning) as caught:
        text = lower(source(), request(file)).ir["kernel"]
    said = [str(warning.message) for warning in caught]
    assert text == lower(source(), Request.of(TARGET)).ir["kernel"]
    for words in ("chooses another schedule", "cannot be followed", "cannot be read"):
        (one,) = [line for line in said if words in line]
        assert str(file) in one and "of kernel @" in one and "tune it anew" in one
    assert all(row.measured for row in tune(source(), request(file), only_chosen))
    assert all(chosen == best for chosen, best in schedules(file))


def test_what_does_not_compile_is_dropped_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_one, made = Trial.compile, []

    def crash(self: Trial, schedule: Schedule) -> Call:
        made.append(schedule)
        if len(made) == 2:
            raise CompileError("iree-compile crashed with SIGSEGV (flags: ...):\nmore")
        return compile_one(self, schedule)

    monkeypatch.setattr(Trial, "compile", crash)
    first, *others = tune(source(), request(tmp_path / "records.json"), last_wins)
    (note,) = first.notes
    assert "crashed with SIGSEGV" in note and "more" not in note and first.kernel in note
    assert not first.differs and first.record is not None and first.record.tried == 2
    assert first.record.best == words_of(made[2])
    assert not any(row.notes for row in others)


def test_other_results_are_a_bug_and_never_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_one, made = Trial.compile, []

    def wrong(self: Trial, schedule: Schedule) -> Call:
        made.append(schedule)
        call = compile_one(self, schedule)
        return call if len(made) != 3 else lambda: np.asarray(call()) + 1

    monkeypatch.setattr(Trial, "compile", wrong)
    with pytest.warns(RuntimeWarning, match="please report it"):
        build(source(), request(tmp_path / "build.json"))
    made.clear()
    first, *_ = tune(source(), request(tmp_path / "records.json"), last_wins)
    (note,) = first.notes
    assert first.differs and "please report it" in note
    assert first.record is not None and first.record.best == words_of(made[1]) != words_of(made[2])


def test_the_cache_depends_on_what_the_records_say(
    tuned: tuple[Path, list[TunedRow]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERRACE_CACHE_DIR", str(tmp_path / "cache"))
    # Hits are those of the process, in which other tests had some.
    monkeypatch.setattr(cache, "_process", cache._Process())
    monkeypatch.setattr("terrace.lowering.target.iree.backend.compile_program", lambda text, flags: b"a program")
    copy, other = tmp_path / "copy.json", tmp_path / "other.json"
    copy.write_bytes(tuned[0].read_bytes())
    write_records(other, {key: Record(r.chosen, 1.0, r.chosen, 1.0, r.tried) for key, r in read_records(copy).items()})
    build(source(), Request.of(TARGET))
    build(source(), request(tuned[0]))
    assert cache.info().hits == 0
    build(source(), request(copy))
    assert cache.info().hits == 1
    build(source(), request(other))
    assert cache.info().hits == 1 and len(cache.entries()) == 3


# -- the sweep --------------------------------------------------------------------------------------------------------


def test_the_sweep_is_of_200_shapes_and_takes_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("tuning_sweep", ROOT / "scripts" / "tuning_sweep.py")
    assert spec is not None and spec.loader is not None
    sweep = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tuning_sweep", sweep)
    spec.loader.exec_module(sweep)
    assert len({shape.name for shape in sweep.shapes()}) == len(sweep.shapes()) == 200
    rows = [{"name": str(n), "group": "a" if n < 3 else "b", "regret": regret} for n, regret in enumerate((1, 4, 2, 1))]
    assert sweep.table(rows).splitlines()[2:] == [
        "| a | 3 | 2.000 | 4.00 | 4.00 |",
        "| b | 1 | 1.000 | 1.00 | 1.00 |",
        "| all | 4 | 1.682 | 4.00 | 4.00 |",
    ]
    file, measured = tmp_path / "sweep.json", []

    def measure(shape: Any, trials: int) -> dict[str, Any]:
        measured.append(shape.name)
        return {"name": shape.name, "group": shape.group, "regret": 1.0, "tried": trials, "seconds": 0, "notes": []}

    monkeypatch.setattr(sweep, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["tuning_sweep.py", "-o", str(file), "--every", "50"])
    assert sweep.main() == 0 and len(measured) == 4
    monkeypatch.setattr(sys, "argv", ["tuning_sweep.py", "-o", str(file), "--every", "25"])
    assert sweep.main() == 0 and len(measured) == len(set(measured)) == 8
    assert [row["name"] for row in json.loads(file.read_text())] == measured
