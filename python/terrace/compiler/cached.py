"""From a source to an artifact. What the cache holds (`terrace.storage.cache`) is not compiled again."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from terrace import loaded_code
from terrace.collector import collects_seldom
from terrace.compiler.driver import lower
from terrace.compiler.model_parameters import program_parameters
from terrace.compiler.module_interface import declared
from terrace.compiler.request import Request
from terrace.compiler.sources import ModelSource, context_of_text
from terrace.compiler.tuning import tune_if_asked
from terrace.errors import CompileError
from terrace.levels import LEVELS
from terrace.lowering.kernels.tuning_records import digest_of, read_records
from terrace.lowering.target.backend import Source as ParameterSource
from terrace.lowering.target.backend import backend_of, find_backend
from terrace.mlir import ir, parse_module
from terrace.storage import cache
from terrace.storage.artifact import Artifact
from terrace.storage.cache_key import key_of
from terrace.storage.places import Places


@collects_seldom
def build(source: ModelSource, request: Request | None = None) -> Artifact:
    """The artifact of `source`, compiled or found. Raises CompileError or TargetError."""
    request = request or Request()
    tune_if_asked(source, request)
    places = source.places()
    tuned = _tuned(request)
    key, code = _key(source, request, places, tuned), loaded_code.digest()
    found = cache.find(key) if key is not None else None
    if key is not None and found is not None:
        completed = _complete(found, source)
        if completed is not None:
            return places.into(completed)
        cache.discard(key)
    lowered = lower(source, request)
    read: set[str] = set()
    noted = {name: functools.partial(_note, read, name, own) for name, own in lowered.parameters.items()}
    artifact = dataclasses.replace(lowered, parameters=noted).artifact()
    # A program that is made of values, as hardware is, or that needs only some of them, is no other model's. Modules
    # that were imported meanwhile may not be those that the key counted on.
    is_whole = not read and artifact.parameters.keys() == noted.keys()
    # Nor may records, to which another process added.
    if key is not None and is_whole and code == loaded_code.digest() and tuned == _tuned(request):
        cache.keep(key, places.without(artifact))
    return artifact


def _tuned(request: Request) -> str:
    """What the request's tuning records say, as a hash; empty without."""
    return "" if request.tuning is None else digest_of(read_records(request.tuning.file))


def _key(source: ModelSource, request: Request, places: Places, tuned: str) -> str | None:
    """The key of the result; None if it has none, or there is no cache.

    Of the request it has what its fields come to: requests that lead to one program share an entry.
    """
    if cache.directory() is None:
        return None
    target = request.resolved()
    names = ("iree_flags", "quantize", "quantize_weights", "calibration", "passes")
    options = {name: getattr(request, name) for name in names}
    precision, winograd = backend_of(target).precision(request), str(request.winograd)
    settings = {"precision": precision, "places": places.pattern, "winograd": winograd, "tuned": tuned}
    return key_of(source.kind, source.content(request), target, options, **settings)


def _complete(found: Artifact, source: ModelSource) -> Artifact | None:
    """What the cache held, with parameters; None if it wants others than there are, or has a text that nobody reads."""
    own = find_backend(found.target["name"])
    backend = own if LEVELS[-1] not in found.ir else None
    text = found.ir[own.level if backend is not None else LEVELS[-1]]
    try:
        # Ours, so that it need not be rehearsed.
        is_foreign = backend is not None and own.reads(text)
        module = parse_module(own.interface(text) if is_foreign else text, context_of_text())
    except (ir.MLIRError, CompileError):
        return None
    find = source.lookup(found, declared(module.operation, backend))
    if find is None:
        return None
    return dataclasses.replace(found, parameters=program_parameters(module, find, backend))


def _note(read: set[str], name: str, source: ParameterSource) -> np.ndarray:
    """The value of a parameter, whose name is then among those that were `read`."""
    read.add(name)
    return source()
