"""Open a model: an encoder for mteb, and how it runs."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evals.api import ApiClient, ApiModel
from evals.batching import BatchedModel
from evals.config import ApiSpec, EncoderSpec, Model, RegistrySpec
from evals.environment import describe_environment
from evals.errors import ModelError
from evals.models.identity import Weights, describe, locate, vector_fingerprint
from evals.models.loading import dimension_of, load, pooling_of
from evals.models.prompted import PromptedEncoder
from evals.models.registry import load_from_registry, watch_prompts
from evals.models.served import Served
from evals.prompts import Prompting
from evals.records import ModelIdentity, Settings
from evals.store import Store

if TYPE_CHECKING:
    import torch
    from mteb import EncoderProtocol
    from mteb.models import ModelMeta
    from sentence_transformers import SentenceTransformer


# The device of a model behind an API.
ELSEWHERE = "api"


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


def open_model(model: Model, device: str, store: Store) -> OpenModel:
    """Load a model.

    Args:
        model: the specification and its alias.
        device: auto, cpu, cuda, cuda:N or mps; auto is the GPU where there is one.
        store: remembers the hashes of the weights.

    Raises:
        ModelError: it cannot be loaded, or the device is not there.
    """
    spec = model.spec
    if spec.reranks or not isinstance(spec, EncoderSpec | RegistrySpec | ApiSpec):
        kind = "a rerank endpoint" if isinstance(spec, ApiSpec) else f'a model of kind "{spec.kind}"'
        raise ModelError(f"{model.alias}: {kind} is no encoder")
    weights = locate(model, store)
    identity = describe(model, weights)
    place = device_of(model, device)
    if isinstance(spec, ApiSpec):
        return _open_api(model, spec, weights, identity, store)
    if isinstance(spec, RegistrySpec):
        return _open_registry(model, spec, identity, place)
    loaded = load(spec, model.alias, weights, place)
    prompting = prompting_of(spec, loaded)
    batched = BatchedModel(
        loaded,
        embeddings=store.embeddings(_space(model, weights, identity, loaded)),
        texts_at_once=spec.batch_size,
    )
    batched.check()
    encoder = PromptedEncoder(batched, _wrap(loaded, identity, model), prompting)
    encode_kwargs = dict(spec.encode_kwargs)
    if spec.normalize is not None:
        encode_kwargs["normalize_embeddings"] = spec.normalize
    return OpenModel(
        encoder=encoder,
        module=loaded,
        identity=identity,
        settings=_settings(loaded, prompting.in_the_clear(), spec.quantize),
        device=place,
        quantize=spec.quantize,
        batch_size=spec.batch_size or 32,
        encode_kwargs=encode_kwargs,
        batched=batched,
        prompt_used=lambda: encoder.prompt_used,
    )


def prompting_of(spec: EncoderSpec | ApiSpec, loaded: "SentenceTransformer | None" = None) -> Prompting:
    """Return what decides a model's prompts: what the specification says, or where it is silent the model's files."""
    if spec.prompts or spec.instruction is not None or loaded is None:
        return Prompting(prompts=spec.prompts, template=spec.instruction, instruct=spec.instruct)
    default = loaded.prompts.get(loaded.default_prompt_name or "")
    # The library adds these two, empty, where the files do not have them.
    own = {name: text or "" for name, text in loaded.prompts.items() if text or name not in ("query", "document")}
    return Prompting(prompts=own, said_by="the model's files", default=default)


def device_of(model: Model, device: str) -> str:
    """Return where a model computes: `ELSEWHERE`, or what the device asked for is here.

    Raises:
        ModelError: this machine has no such device.
    """
    return ELSEWHERE if isinstance(model.spec, ApiSpec) else resolve_device(device)


def resolve_device(device: str) -> str:
    """Return the device that ``auto`` stands for here.

    Raises:
        ModelError: this machine has no such device.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    name, _, number = device.partition(":")
    if name == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ModelError(f"--on {device}: this machine has {torch.cuda.device_count()} such devices; use --on auto")
    if name == "mps" and not torch.backends.mps.is_available():
        raise ModelError("--on mps: this machine has no such device; use --on auto")
    return device


def _open_registry(model: Model, spec: RegistrySpec, identity: ModelIdentity, device: str) -> OpenModel:
    from sentence_transformers import SentenceTransformer

    encoder = load_from_registry(spec, model.alias, device)
    inside = getattr(encoder, "model", None)
    loaded = inside if isinstance(inside, SentenceTransformer) else None
    meta = encoder.mteb_model_meta
    if meta is not None:
        encoder.mteb_model_meta = make_meta(meta, identity, model)  # type: ignore[misc]  # only our name for it
    # What mteb's code does with the prompts it has is its own; only those used are known, call by call.
    return OpenModel(
        encoder=encoder,
        module=loaded,
        identity=identity,
        settings=Settings() if loaded is None else _settings(loaded, None, None),
        device=device,
        quantize=None,
        batch_size=spec.batch_size,
        encode_kwargs=dict(spec.encode_kwargs),
        prompt_used=(lambda: None) if loaded is None else watch_prompts(loaded),
    )


def _open_api(model: Model, spec: ApiSpec, weights: Weights, identity: ModelIdentity, store: Store) -> OpenModel:
    """Open a model behind an API: whether it answers shows at once, and its vectors go to the store only if allowed."""
    space = {"model": identity.name, "fingerprint": vector_fingerprint(model, weights), "url": spec.address}
    asked = ApiModel(ApiClient(spec, model.alias), None if store.run_of_apis else store.embeddings(space))
    asked.check()
    prompting = prompting_of(spec)
    served = Served(spec.similarity, lambda meta: make_meta(meta, identity, model))
    encoder = PromptedEncoder(asked, served, prompting)
    return OpenModel(
        encoder=encoder,
        module=None,
        identity=identity,
        settings=Settings(
            prompts=prompting.in_the_clear(), max_characters=spec.max_characters, dimension=asked.dimension
        ),
        device=ELSEWHERE,
        quantize=None,
        batch_size=spec.batch_size,
        encode_kwargs={},
        batched=asked,
        prompt_used=lambda: encoder.prompt_used,
    )


def _space(model: Model, weights: Weights, identity: ModelIdentity, loaded: "SentenceTransformer") -> dict[str, str]:
    """Say all that decides a text's vector but the call itself, for the store of vectors.

    Another version of a library, or another device, computes its own: comparing them is what parity checks are for.
    """
    return {
        "model": identity.name,
        "fingerprint": vector_fingerprint(model, weights),
        "dtype": str(loaded.dtype).removeprefix("torch."),
        **computed_by(str(loaded.device)),
    }


def computed_by(device: str) -> dict[str, str]:
    """Return what decides the rounding of a vector beside its model: a device's kind, and the libraries' versions."""
    import torch

    versions = describe_environment()
    kind = device.partition(":")[0]
    libraries = ["torch", "transformers", "sentence-transformers"]
    return {
        "device": torch.cuda.get_device_name(device) if kind == "cuda" else kind,
        **{name: versions[name] for name in libraries if name in versions},
    }


def _settings(loaded: "SentenceTransformer", prompts: Mapping[str, str] | None, quantize: str | None) -> Settings:
    return Settings(
        prompts=prompts,
        pooling=pooling_of(loaded),
        max_length=loaded.max_seq_length,
        dtype=str(loaded.dtype).removeprefix("torch."),
        dimension=dimension_of(loaded),
        quantize=quantize,
    )


def _wrap(loaded: "SentenceTransformer", identity: ModelIdentity, model: Model) -> "EncoderProtocol":
    from mteb.models import SentenceTransformerEncoderWrapper

    with warnings.catch_warnings():
        # About prompts, which are not the wrapper's to choose here.
        warnings.simplefilter("ignore")
        wrapper = SentenceTransformerEncoderWrapper(loaded)
    wrapper.mteb_model_meta = make_meta(wrapper.mteb_model_meta, identity, model)
    return wrapper


def make_meta(meta: "ModelMeta", identity: ModelIdentity, model: Model) -> "ModelMeta":
    """Name a model so that mteb files no two under one name: it calls every local one the same."""
    name, revision = identity.name, identity.revision or identity.fingerprint
    if not (identity.unmodified and identity.revision):
        name, revision = f"{name}__{identity.fingerprint}", identity.fingerprint
    changed = {"name": name, "revision": revision}
    if model.derived and model.spec.published:
        changed["adapted_from"] = model.spec.published
    return meta.model_copy(update=changed)
