"""Models that a program holds in memory: known by a fingerprint of what they are now, and measured as they are."""

import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from touchstone.config.base import Spec
from touchstone.config.models import Model, make_spec
from touchstone.config.retrievers import PythonSpec
from touchstone.encoding.batching import dtype_of
from touchstone.encoding.routes import reader_of, roles_of
from touchstone.errors import ConfigError, ModelError, MovedError, suggest
from touchstone.models import cross_encoders, multi_vector, sentence_transformers, sparse
from touchstone.models.base import ModelKind, Opened
from touchstone.models.python import opening as python
from touchstone.models.python.calls import CallersThread
from touchstone.models.python.objects import METHODS, OwnObject, adopt, provided_by
from touchstone.models.weights.fingerprint import take_fingerprint
from touchstone.models.weights.identity import Weights, describe
from touchstone.models.weights.loading import make_ready
from touchstone.models.wrapped import BATCH_SIZE, make_open
from touchstone.records.cases import Reads
from touchstone.records.outcomes import ModelIdentity
from touchstone.seams import WRAPPERS, find
from touchstone.store.folder import Store

if TYPE_CHECKING:
    import torch

PLACE = "memory"
# The classes of sentence-transformers, a subclass before what it may be one of, and the kinds that they are like.
CLASSES = {
    "SparseEncoder": "sparse", "MultiVectorEncoder": "multi-vector", "CrossEncoder": "cross-encoder",
    "SentenceTransformer": "sentence-transformers",
}  # fmt: skip
# Settings that can be given beside a model.
SETTINGS = {"batch_size", "prompts", "prompt", "instruction", "instruct", "normalize", "quantize", "encode_kwargs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class InMemorySpec(Spec):
    """A model in memory, and the specification of what it is like; no file can say this kind."""

    kind: str = "in-memory"
    loaded: Any = field(compare=False, repr=False)
    like: Spec

    @property
    def reranks(self) -> bool | None:
        """Whether this scores pairs of texts."""
        return self.like.reranks

    def explicit_settings(self) -> dict[str, Any]:
        """Return the settings that were given beside the model."""
        return self.like.explicit_settings()


def make_in_memory(loaded: Any, settings: Mapping[str, Any], where: str) -> InMemorySpec:
    """Return the specification of a model in memory.

    Args:
        loaded: a model of sentence-transformers, or an object of the user's own that encodes, searches or reranks.
        settings: given beside it, by the keys of ``models.toml``.
        where: what handed it over, for errors.

    Raises:
        ConfigError: it is no such model, or a setting cannot be given beside it.
    """
    kind = _kind_of(loaded)
    if kind is None:
        name = "".join(sign if sign.isascii() and sign.isidentifier() else "_" for sign in type(loaded).__name__)
        if not provided_by(loaded):
            ways = ", ".join(" and ".join(methods) for methods in METHODS.values())
            raise ConfigError(
                f"{where}: what is of type {type(loaded).__name__} is no model; expected one of sentence-transformers, "
                f"or an object with {ways}"
            )
        return InMemorySpec(
            loaded=loaded, like=make_spec({"kind": "python", "object": f"{PLACE}:{name}", **settings}, where)
        )
    if unknown := sorted(settings.keys() - SETTINGS):
        raise ConfigError(f"{where}: {unknown[0]} is set on the model itself{suggest(unknown[0], SETTINGS)}")
    return InMemorySpec(loaded=loaded, like=make_spec({"kind": kind, "path": PLACE, **settings}, where))


def _kind_of(loaded: Any) -> str | None:
    """Return the kind of a model of sentence-transformers; None for another object."""
    library = sys.modules.get("sentence_transformers")  # nothing is of a library that nobody has imported
    classes = ((getattr(library, name, None), kind) for name, kind in CLASSES.items()) if library else ()
    return next((kind for cls, kind in classes if cls is not None and isinstance(loaded, cls)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _InMemory(Weights):
    """A model in memory as it was when it was looked at."""

    loaded: Any

    def check_unchanged(self, alias: str, *, loaded: bool = False) -> None:  # noqa: ARG002
        """Look at all of it again.

        Raises:
            MovedError: something of it has changed.
        """
        if take_fingerprint(self.loaded)[0] != self.facts[PLACE]:
            raise MovedError(
                f"{alias}: its weights or settings changed while it was measured, and nothing of that is kept; "
                "measure it when it no longer changes"
            )


def _look_at(model: Model, store: Store) -> tuple[Model, _InMemory]:
    """Return a model as its kind takes it, and what it is now.

    One of which something cannot be looked at, or an object of the user's own, is known in one run only.
    """
    spec = model.spec_of(InMemorySpec)
    alike = replace(model, spec=spec.like)
    is_object = isinstance(spec.like, PythonSpec)
    digest, unknown = ("", ("its state",)) if is_object else take_fingerprint(spec.loaded)
    facts = {PLACE: digest, **({"run": store.run_id} if unknown else {})}
    return alike, _InMemory(place=PLACE, label="the model in memory", revision=None, facts=facts, loaded=spec.loaded)


def identify(model: Model, store: Store) -> ModelIdentity:
    """Return who a model in memory is now."""
    return describe(*_look_at(model, store))


def open_in_memory(model: Model, _device: str, store: Store) -> Opened:
    """Return a model in memory as measuring gets it, where it lies.

    Raises:
        ModelError: it cannot be measured as it is.
    """
    alike, weights = _look_at(model, store)
    if isinstance(alike.spec, PythonSpec):
        return python.open_own(alike, _wrap(model), describe(alike, weights), store)
    loaded = weights.loaded
    if alike.spec.kind == "cross-encoder":
        make_ready(loaded, [loaded], weights.label)
        # mteb puts another last layer into one of low precision, which is not ours to change.
        measured = loaded if dtype_of(loaded) == "float32" else deepcopy(loaded)
        at_once = getattr(alike.spec, "batch_size", None)
        return cross_encoders.make_open(
            alike, measured, weights=weights, device=str(loaded.device), pairs_at_once=at_once
        )
    make_ready(loaded, [reader_of(loaded, role) for role in roles_of(loaded)], weights.label)
    return _open_encoder(alike, weights, store)


def _open_encoder(model: Model, weights: _InMemory, store: Store) -> Opened:
    loaded, spec = weights.loaded, model.spec
    at_once: int | None = getattr(spec, "batch_size", None)
    if spec.kind == "sentence-transformers":
        space = sentence_transformers.space_of(model, weights, loaded)
        way = sentence_transformers.Way(device=str(loaded.device), space=space, texts_at_once=at_once)
        return sentence_transformers.make_open(model, loaded, weights=weights, store=store, way=way)
    if spec.kind == "sparse":
        return make_open(
            model, loaded, sparse.SparseTexts(loaded, at_once or BATCH_SIZE), weights=weights,
            wrap=find(f"{WRAPPERS}:SparseEncoderWrapper"), for_mteb=sparse.MtebSparse,
        )  # fmt: skip
    return make_open(
        model, loaded, multi_vector.MultiVectorTexts(loaded, at_once or BATCH_SIZE), weights=weights,
        wrap=find(f"{WRAPPERS}:MultiVectorWrapper"), for_mteb=multi_vector.MtebMultiVector,
    )  # fmt: skip


def _wrap(model: Model) -> OwnObject:
    spec = model.spec_of(InMemorySpec)
    assert isinstance(spec.like, PythonSpec)
    return adopt(spec.like, spec.loaded, CallersThread())


def _like(model: Model) -> tuple[ModelKind, Model]:
    """Return the kind that a model in memory is like, and the model as one of it."""
    like = model.spec_of(InMemorySpec).like
    kinds = (sentence_transformers, cross_encoders, sparse, multi_vector)
    return next(module.KIND for module in kinds if module.KIND.name == like.kind), replace(model, spec=like)


def _reads(model: Model) -> Reads:
    if isinstance(model.spec_of(InMemorySpec).like, PythonSpec):
        return "pairs" if _provides(model) == "rerank" else "texts"
    kind, alike = _like(model)
    return kind.reads(alike)


def _why_not(model: Model, task_type: str) -> str | None:
    if isinstance(model.spec_of(InMemorySpec).like, PythonSpec):
        return python.why_not_as(_provides(model), model, task_type)
    kind, alike = _like(model)
    return kind.why_not(alike, task_type)


def _provides(model: Model) -> Any:
    try:
        return _wrap(model).provides
    except ModelError:  # which measuring says
        return None


def find_place(loaded: Any) -> str | None:
    """Return the device that a model in memory lies on; None for an object of the user's own."""
    device: torch.device | None = getattr(loaded, "device", None) if _kind_of(loaded) else None
    return None if device is None else "mps" if device.type == "mps" else str(device)


@contextmanager
def measured_as_is(loaded: Any) -> Iterator[None]:
    """Keep a program's own state as it was: random numbers, and the training mode of a model in memory.

    Meanwhile the model neither drops out nor remembers, and computes in the precision of its weights.
    """
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        stack.callback(partial(np.random.set_state, np.random.get_state()))
        if "torch" in sys.modules:
            import torch

            started = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
            devices = range(torch.cuda.device_count()) if started else ()
            stack.enter_context(torch.random.fork_rng(devices))
            for kind in filter(torch.is_autocast_enabled, ("cpu", "cuda")):
                stack.enter_context(torch.autocast(kind, enabled=False))
            if isinstance(loaded, torch.nn.Module):
                _rest(loaded, stack)
        yield


def process_settings() -> Iterator[str]:
    """Yield what of torch's settings a program has changed that can change how a model computes."""
    if "torch" not in sys.modules:
        return
    import torch

    settings = {
        "float32_matmul_precision": (torch.get_float32_matmul_precision(), "highest"),
        "default_dtype": (torch.get_default_dtype(), torch.float32),
        "deterministic": (torch.are_deterministic_algorithms_enabled(), False),
        "cudnn.allow_tf32": (torch.backends.cudnn.allow_tf32, True),
    }
    yield from (f"{name} {value}" for name, (value, default) in settings.items() if value != default)


def _rest(loaded: "torch.nn.Module", stack: ExitStack) -> None:
    """Put a model into the state that it is measured in, and out of it at the end."""
    for module in loaded.modules():
        stack.callback(setattr, module, "training", module.training)
        config: Any = getattr(module, "config", None)
        if getattr(config, "use_cache", False):
            stack.callback(setattr, config, "use_cache", config.use_cache)
            config.use_cache = False
    loaded.eval()
    if _kind_of(loaded) is None:
        return
    # Some models find out a setting when they are first asked for it, which must be no change later.
    _ = getattr(loaded, "similarity_fn_name", None)
    for method, inputs in (("encode", ["a"]), ("encode_query", ["a"]), ("encode_document", ["a"]),
                           ("predict", [("a", "a")])):  # fmt: skip
        with suppress(Exception):  # measuring says what is wrong
            getattr(loaded, method)(inputs, show_progress_bar=False)


KIND = ModelKind(
    name="in-memory",
    spec=InMemorySpec,
    identify=identify,
    open=open_in_memory,
    device=lambda model, _device: find_place(model.spec_of(InMemorySpec).loaded) or "cpu",
    reads=_reads,
    why_not=_why_not,
)
