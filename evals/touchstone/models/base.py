"""What a kind of model is, and opened models as measuring gets them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from touchstone.config.api import ApiSpec
from touchstone.config.base import Spec
from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec
from touchstone.encoding.base import TextEncoder
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import Prompting, Role
from touchstone.encoding.reranker import MtebReranker
from touchstone.records.cases import Reads
from touchstone.records.outcomes import ModelIdentity, Settings
from touchstone.store.folder import Store
from touchstone.task_types.registry import find_type

if TYPE_CHECKING:
    import torch
    from mteb.models import ModelMeta
    from sentence_transformers import SentenceTransformer


# What begins so in a specification is mteb's way to quantize.
BY_MTEB = "mteb-"


def nothing_to_check() -> None:
    """Find nothing wrong: the weights are no files of ours, or nobody can look at them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenModel:
    """A loaded model: what mteb is given of it for a measurement, who it is and how it runs.

    ``encoder`` and ``prompting`` are what encodes and what decides prompts, None where code of mteb's does both.
    ``module`` is the torch module inside, if any. ``searched_on`` is the device that its vectors are searched on, None
    for where they are. ``quantize`` is what mteb is to do to them, if anything. ``check_unchanged`` raises
    `MovedError` where its files are not what was loaded any more. ``answer`` answers one text of a role, prompt
    included, as a user's query is, past all that is stored, or raises ModelError: what is timed as the latency of a
    query, None where that is not timed. ``at_once`` requests are under way at once.
    """

    for_mteb: Callable[[Meter], MtebEncoder]
    encoder: TextEncoder | None = None
    prompting: Prompting | None = None
    module: "torch.nn.Module | None" = None
    identity: ModelIdentity
    settings: Settings
    device: str
    searched_on: str | None = None
    quantize: str | None = None
    batch_size: int = 32
    encode_kwargs: Mapping[str, Any] = field(default_factory=dict)
    check_unchanged: Callable[[], None] = nothing_to_check
    answer: Callable[[str, Role | None], object] | None = None
    at_once: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReranker:
    """A loaded model that scores pairs: what mteb is given of it for a measurement, who it is and how it runs.

    ``at_once`` requests are under way at once.
    """

    for_mteb: Callable[[Meter], MtebReranker]
    identity: ModelIdentity
    settings: Settings
    device: str
    batch_size: int = 32
    encode_kwargs: Mapping[str, Any] = field(default_factory=dict)
    check_unchanged: Callable[[], None] = nothing_to_check
    at_once: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPipeline:
    """A loaded reranker and a retriever that is loaded on first use; cached rankings make that unnecessary.

    ``models`` are the specifications of the pipeline, the retriever and the reranker, ``retriever`` the identity of
    the first of them, and ``retriever_device`` where it computes. ``check_unchanged`` looks at the files of all that is
    loaded.
    """

    identity: ModelIdentity
    models: tuple[Model, Model, Model]
    retriever: ModelIdentity
    retriever_device: str
    open_retriever: Callable[[], OpenModel]
    reranker: OpenReranker
    top_k: int
    check_unchanged: Callable[[], None] = nothing_to_check


Opened = OpenModel | OpenReranker | OpenPipeline


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
        open: loads it for a device as asked for.
        device: returns where it computes, from the device asked for.
        reads: texts, pairs of them, or both.
        why_not: returns why tasks of a type cannot be run, None if they can.
        prompts: returns the prompts that the specification says, by mteb's names for them.
        served: another process computes; what it serves may change unseen.
        remote: returns the address on another machine that requests go to, None if there is none.
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


def prompting_of(spec: EncoderSpec | ApiSpec, loaded: "SentenceTransformer | None" = None) -> Prompting:
    """Return what decides a model's prompts: what the specification says, or where it is silent the model's files."""
    if spec.prompts is not None or spec.instruction is not None or loaded is None:
        return Prompting(prompts=spec.prompts or {}, template=spec.instruction, instruct=spec.instruct)
    default = loaded.prompts.get(loaded.default_prompt_name or "")
    # The library adds these two, empty, where the files do not have them.
    own = {name: text or "" for name, text in loaded.prompts.items() if text or name not in ("query", "document")}
    return Prompting(prompts=own, said_by="the model's files", default=default)


def make_meta(meta: "ModelMeta", identity: ModelIdentity, model: Model) -> "ModelMeta":
    """Name a model so that mteb files no two under one name: it calls every local one the same."""
    name, revision = identity.name, identity.revision or identity.fingerprint
    if not (identity.unmodified and identity.revision):
        name, revision = f"{name}__{identity.fingerprint}", identity.fingerprint
    changed = {"name": name, "revision": revision}
    if model.derived and model.spec.published:
        changed["adapted_from"] = model.spec.published
    return meta.model_copy(update=changed)
