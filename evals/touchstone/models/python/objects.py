"""An object of the user's own: found, made, and known by its code and what it says."""

import hashlib
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from touchstone.config.models import Model
from touchstone.config.retrievers import Provides, PythonSpec
from touchstone.errors import ModelError
from touchstone.files.validation import check_json
from touchstone.files.writing import to_json
from touchstone.models.python.calls import OwnThread, blame
from touchstone.own_code import identify_code, load_object
from touchstone.records.names import REVISION, slug
from touchstone.records.outcomes import ModelIdentity
from touchstone.store.folder import Store

T = TypeVar("T")
METHODS: dict[Provides, tuple[str, ...]] = {
    "encode": ("encode",), "search": ("index", "search"), "rerank": ("rerank",)
}  # fmt: skip
# The arguments that each method is called with, by their names where the name says which is which.
PARAMETERS = {
    "encode": (1, ("role",)), "index": (1, ()), "search": (2, ()), "rerank": (2, ())
}  # fmt: skip
LOCK = threading.Lock()
REVISION_LIMIT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnObject:
    """Handle of an object of the user's own: what it provides, and the thread that its methods are called in."""

    spec: PythonSpec
    provides: Provides
    version: str | None
    instance: Any
    thread: OwnThread

    def call(self, method: str, *arguments: Any, parse: Callable[[Any], T], **named: Any) -> T:
        """Call a method, and return what ``parse`` makes of its answer.

        Raises:
            ModelError: it raised something, took too long, or gave what cannot be read.
        """
        what = f"{self.spec.object}: {method}"
        key = "index_timeout" if method == "index" else "timeout"
        bound = getattr(self.instance, method)
        answer = self.thread.run(lambda: bound(*arguments, **named), what, seconds=getattr(self.spec, key), key=key)
        with blame(what):
            return parse(answer)


def find_object(model: Model) -> OwnObject:
    """Import and make the object of a model; once in a process, so that its memory is needed once.

    Raises:
        ModelError: it is not there, its code fails, it has none of the methods, or several and nothing says which.
    """
    with LOCK:
        result = _try_to_make(to_json(model.spec_of(PythonSpec).explicit_settings()))
    if isinstance(result, ModelError):
        raise result
    return result


@cache
def _try_to_make(text: str) -> OwnObject | ModelError:
    """Make the object of a specification in JSON; what failed once is not tried again."""
    try:
        return _make(check_json(PythonSpec, text, "models.toml"))
    except ModelError as error:
        return error


def _make(spec: PythonSpec) -> OwnObject:
    thread = OwnThread()
    target = load_object(spec.object, ModelError)
    is_object = not inspect.isclass(target) and bool(provided_by(target))
    if is_object and spec.args:
        raise ModelError(f"{spec.object} is no class or function, so that args have nowhere to go; leave them out")
    if not is_object and not callable(target):
        raise ModelError(f"{spec.object} has none of {', '.join(METHODS)}, and makes nothing that has")
    instance: Any = target
    if not is_object:
        instance = thread.run(lambda: target(**spec.args), spec.object, seconds=spec.timeout, key="timeout")
    return adopt(spec, instance, thread)


def adopt(spec: PythonSpec, instance: Any, thread: OwnThread) -> OwnObject:
    """Return the handle of an object, if its methods can be called.

    Args:
        spec: its specification.
        instance: the object.
        thread: that its methods are called in.

    Raises:
        ModelError: it has none of the methods, or several and nothing says which, or they cannot be called.
    """
    provides = _choose(spec, instance)
    for method in METHODS[provides]:
        _check_parameters(spec, method, getattr(instance, method))
    version = getattr(instance, "version", None)
    if version is not None and not isinstance(version, str | int | float):
        raise ModelError(f"{spec.object}: version is a {type(version).__name__}; expected text")
    text = None if version is None else str(version)
    return OwnObject(spec=spec, provides=provides, version=text, instance=instance, thread=thread)


def provided_by(instance: Any) -> list[Provides]:
    """Return what an object provides; ``search`` only together with ``index``."""
    return [verb for verb, names in METHODS.items() if all(callable(getattr(instance, name, None)) for name in names)]


def _choose(spec: PythonSpec, instance: Any) -> Provides:
    provided, kind = provided_by(instance), type(instance).__name__
    if spec.provides is not None:
        if spec.provides not in provided:
            raise ModelError(f'{spec.object}: provides = "{spec.provides}", but {kind} has no such method')
        return spec.provides
    if not provided:
        almost = " (a search needs index, too)" if callable(getattr(instance, "search", None)) else ""
        raise ModelError(f"{spec.object}: {kind} has none of {', '.join(METHODS)}{almost}")
    if len(provided) > 1:
        raise ModelError(
            f'{spec.object}: {kind} has {" and ".join(provided)}; choose one, as in provides = "{provided[-1]}"'
        )
    return provided[0]


def _check_parameters(spec: PythonSpec, method: str, bound: Any) -> None:
    """Refuse a method that cannot be called as it will be."""
    count, named = PARAMETERS[method]
    try:
        signature = inspect.signature(bound)
    except (TypeError, ValueError):
        return  # of a compiled one that does not say
    try:
        signature.bind(*[None] * count, **dict.fromkeys(named))
    except TypeError:
        expected = {"encode": "texts, role", "index": "documents", "search": "queries, k", "rerank": "query, texts"}
        raise ModelError(
            f"{spec.object}: {method}{signature} cannot be called as {method}({expected[method]})"
        ) from None


def identify(model: Model, store: Store) -> ModelIdentity:
    """Return who an object is: its code, with the versions of what it imports, and the versions that are given.

    Where nothing of that can be found it is known in one run only.
    """
    spec = model.spec_of(PythonSpec)
    handle = find_object(model)
    pairs = (("said", spec.version), ("version", handle.version))
    versions = {name: value for name, value in pairs if value is not None}
    code = identify_code(spec.object)
    if code is None and not versions:
        versions["run"] = store.run_id
    facts = {
        "python": spec.object, "code": code, "provides": handle.provides, **versions,
        "settings": {name: value for name, value in spec.changes().items() if name not in ("object", "provides")},
    }  # fmt: skip
    fingerprint = hashlib.sha256(to_json(facts).encode()).hexdigest()[:12]
    # A revision has the characters that one of a hub may have; the fingerprint has the version as it was given.
    revision = slug(spec.version or handle.version or "", also="+")[:REVISION_LIMIT]
    return ModelIdentity(
        name=f"local/{model.alias}",
        revision=revision if REVISION.fullmatch(revision) else None,
        unmodified=False,
        fingerprint=fingerprint,
    )
