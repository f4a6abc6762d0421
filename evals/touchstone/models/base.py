"""What a kind of model is, and opened models as measuring gets them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from touchstone.config.api import ApiSpec
from touchstone.config.base import Spec
from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec, MultiVectorSpec, SparseSpec
from touchstone.encoding.base import TextEncoder
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import Prompting, Role
from touchstone.encoding.reranker import MtebReranker
from touchstone.models.searcher import MtebSearcher
from touchstone.records.cases import Reads
from touchstone.records.outcomes import ModelIdentity, Settings
from touchstone.store.folder import Store
from touchstone.task_types.registry import find_type

if TYPE_CHECKING:
    import torch
    from mteb.models import ModelMeta


# The prefix of quantizations that mteb does.
MTEB_PREFIX = "mteb-"


def nothing_to_check() -> None:
    """Do nothing: the weights are no files of ours, or nobody can look at them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """A loaded model, who it is and how it runs; ``check_unchanged`` raises `MovedError` where its files moved.

    ``answer`` answers one text of a role, prompt included, without any cache, or raises ModelError. It is timed as the
    latency of a query; None where that is not timed. ``at_once`` is the number of requests under way at once.
    """

    identity: ModelIdentity
    settings: Settings
    device: str
    batch_size: int = 32
    answer: Callable[[str, Role | None], object] | None = None
    at_once: int = 1
    encode_kwargs: Mapping[str, Any] = field(default_factory=dict)
    check_unchanged: Callable[[], None] = nothing_to_check


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenModel(_Open):
    """A loaded model that encodes texts; ``for_mteb`` makes the encoder that mteb calls in a measurement.

    ``encoder`` and ``prompting`` are what encodes and what decides prompts, None where code of mteb's does both.
    ``module`` is the torch module inside, if any. ``searched_on`` is the device that its vectors are searched on, None
    for where they are. ``quantize`` is the quantization that mteb does, if any.
    """

    for_mteb: Callable[[Meter], MtebEncoder]
    encoder: TextEncoder | None = None
    prompting: Prompting | None = None
    module: "torch.nn.Module | None" = None
    searched_on: str | None = None
    quantize: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReranker(_Open):
    """A loaded model that scores pairs; ``for_mteb`` makes the reranker that mteb calls in a measurement."""

    for_mteb: Callable[[Meter], MtebReranker]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSearcher(_Open):
    """A model with a search of its own; ``for_mteb`` makes the searcher that mteb calls in a measurement."""

    for_mteb: Callable[[Meter], MtebSearcher]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStage:
    """One of the models that another is made of: identified at once, and loaded lazily by ``open``, once.

    Cached rankings can make loading unnecessary.
    """

    model: Model
    identity: ModelIdentity
    device: str
    open: Callable[[], "Opened"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPipeline:
    """A retriever, and rerankers that put in order what it finds; ``depths`` are how many documents each is given.

    ``check_unchanged`` looks at the files of all that is loaded.
    """

    identity: ModelIdentity
    model: Model
    stages: tuple[OpenStage, ...]
    depths: tuple[int, ...]
    check_unchanged: Callable[[], None] = nothing_to_check


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHybrid:
    """Models whose rankings are fused: ``fuse`` makes one ranking of a query's, each ``{document: score}``.

    ``depth`` is how many of each model's best documents take part, None for all.
    """

    identity: ModelIdentity
    model: Model
    stages: tuple[OpenStage, ...]
    fuse: Callable[[list[dict[str, float]]], Mapping[str, float]]
    depth: int | None = None
    check_unchanged: Callable[[], None] = nothing_to_check


Computing = OpenModel | OpenReranker | OpenSearcher
Composed = OpenPipeline | OpenHybrid
Opened = Computing | Composed


def only_ranks(what: str) -> Callable[[Model, str], str | None]:
    """Return the ``why_not`` of a kind whose models rank documents, and do nothing else.

    Args:
        what: the name of such models.
    """

    def why_not(_model: Model, task_type: str) -> str | None:
        return None if find_type(task_type).searches is not None else f"{what} only ranks documents"

    return why_not


def only_searches(what: str) -> Callable[[Model, str], str | None]:
    """Return the ``why_not`` of a kind whose models search a corpus, and do nothing else.

    Args:
        what: the name of such models.
    """

    def why_not(_model: Model, task_type: str) -> str | None:
        if find_type(task_type).searches == "corpus":
            return None
        reranks = find_type(task_type).searches == "candidates"
        return f"{what} finds its own candidates, and reranks none" if reranks else f"{what} only retrieves"

    return why_not


def only_reranks(_model: Model, task_type: str) -> str | None:
    """Return why a model that scores pairs cannot run tasks of a type, None if it can."""
    if find_type(task_type).searches == "candidates":
        return None
    if find_type(task_type).searches == "corpus":
        return "a cross-encoder cannot search; it can be the second stage of a pipeline"
    return "a cross-encoder only reranks"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelKind:
    """A kind of model: all that is asked of a model before it is opened, and how it is opened.

    Args:
        name: the ``kind`` of its specifications.
        spec: their dataclass, under `touchstone.config.base.Spec`; its fields are the keys in ``models.toml``.
        identify: returns who a model is, without loading it.
        open: loads it for a device, one that is named or ``auto``.
        device: returns where it computes, from the device asked for.
        reads: texts, pairs of them, or both.
        why_not: returns why tasks of a type cannot be run, None if they can.
        prompts: returns the prompts that the specification says, by mteb's names for them.
        served: another process computes; what it serves may change unseen.
        remote: returns the address on another machine that requests go to, None if there is none.
        divides: its encoders score a document alike whatever else is in the corpus, so that a corpus may be divided.
    """

    name: str
    spec: type[Spec]
    identify: Callable[[Model, Store], ModelIdentity]
    open: Callable[[Model, str, Store], Opened]
    device: Callable[[Model, str], str]
    reads: Callable[[Model], Reads] = lambda _: "texts"
    why_not: Callable[[Model, str], str | None] = lambda _model, _task_type: None  # an encoder runs tasks of every type
    prompts: Callable[[Model], Mapping[str, str]] = lambda _: {}
    served: bool = False
    remote: Callable[[Model], str | None] = lambda _: None
    divides: bool = False


def prompting_of(spec: EncoderSpec | SparseSpec | MultiVectorSpec | ApiSpec, loaded: Any = None) -> Prompting:
    """Return the rules for a model's prompts: those of the specification, or where it has none of the model's files."""
    if spec.prompts is not None or spec.instruction is not None or loaded is None:
        return Prompting(prompts=spec.prompts or {}, template=spec.instruction, instruct=spec.instruct)
    default = loaded.prompts.get(loaded.default_prompt_name or "")
    # The library adds these two, empty, where the files do not have them.
    prompts = {name: text or "" for name, text in loaded.prompts.items() if text or name not in ("query", "document")}
    return Prompting(prompts=prompts, source="the model's files", default=default)


def make_meta(meta: "ModelMeta", identity: ModelIdentity, model: Model) -> "ModelMeta":
    """Name a model so that mteb files no two under one name: it calls every local one the same."""
    name, revision = identity.name, identity.revision or identity.fingerprint
    if not (identity.unmodified and identity.revision):
        name, revision = f"{name}__{identity.fingerprint}", identity.fingerprint
    changed = {"name": name, "revision": revision}
    if model.derived and model.spec.published:
        changed["adapted_from"] = model.spec.published
    return meta.model_copy(update=changed)
