"""Opened models, as measuring gets them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from touchstone.config.api import ApiSpec
from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec
from touchstone.encoding.batching import BatchedModel
from touchstone.encoding.prompts import Prompting
from touchstone.models.api.embedding import ApiModel
from touchstone.records.outcomes import ModelIdentity, Settings

if TYPE_CHECKING:
    import torch
    from mteb import EncoderProtocol
    from mteb.models import CrossEncoderProtocol, ModelMeta
    from sentence_transformers import SentenceTransformer

    from touchstone.models.api.served import ServedReranker
    from touchstone.models.cross_encoders import BatchedReranker


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenModel:
    """A loaded model: the encoder for mteb, the torch module inside if any, who it is and how it runs.

    ``batched`` is what batches and stores, where that is ours to do. ``prompt_used`` tells what was put before the
    texts of the encoder's last call, None where that is not known.
    """

    encoder: "EncoderProtocol"
    module: "torch.nn.Module | None"
    identity: ModelIdentity
    settings: Settings
    device: str
    quantize: str | None
    batch_size: int
    encode_kwargs: Mapping[str, Any]
    batched: BatchedModel | ApiModel | None = None
    prompt_used: Callable[[], str | None] = lambda: None


def prompting_of(spec: EncoderSpec | ApiSpec, loaded: "SentenceTransformer | None" = None) -> Prompting:
    """Return what decides a model's prompts: what the specification says, or where it is silent the model's files."""
    if spec.prompts or spec.instruction is not None or loaded is None:
        return Prompting(prompts=spec.prompts, template=spec.instruction, instruct=spec.instruct)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenReranker:
    """A loaded model that scores pairs, who it is and how it runs.

    ``batched`` is what batches, where that is ours to do; ``prompt`` is put before each query.
    """

    reranker: "CrossEncoderProtocol"
    identity: ModelIdentity
    settings: Settings
    device: str
    prompt: str = ""
    batch_size: int = 32
    encode_kwargs: Mapping[str, Any]
    batched: "BatchedReranker | ServedReranker | None" = None
