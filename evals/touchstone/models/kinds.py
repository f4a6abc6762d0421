"""Open a model of any kind."""

import warnings
from typing import TYPE_CHECKING, cast

from touchstone.config.api import ApiSpec
from touchstone.config.models import Model
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec, RegistrySpec
from touchstone.encoding.batching import BatchedModel
from touchstone.encoding.prompted import PromptedEncoder
from touchstone.errors import ModelError
from touchstone.models.api import opening as api
from touchstone.models.base import OpenModel, OpenReranker, make_meta, prompting_of
from touchstone.models.cross_encoders import BatchedReranker, dtype_of, load_cross_encoder, max_length_of
from touchstone.models.devices import device_of, resolve_device
from touchstone.models.identity import describe, locate
from touchstone.models.loading import load, settings_of
from touchstone.models.registry import load_from_registry, watch_prompts
from touchstone.models.sentence_transformers import space_of, wrap
from touchstone.records.outcomes import ModelIdentity, Settings
from touchstone.store.folder import Store

if TYPE_CHECKING:
    from touchstone.encoding.base import Comparing


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
        return api.open_encoder(model, spec, weights, identity, store)
    if isinstance(spec, RegistrySpec):
        return _open_registry(model, spec, identity, place)
    loaded = load(spec, model.alias, weights, place)
    prompting = prompting_of(spec, loaded)
    batched = BatchedModel(
        loaded,
        embeddings=store.embeddings(space_of(model, weights, identity, loaded)),
        texts_at_once=spec.batch_size,
    )
    batched.check()
    encoder = PromptedEncoder(batched, cast("Comparing", wrap(loaded, identity, model)), prompting)
    encode_kwargs = dict(spec.encode_kwargs)
    if spec.normalize is not None:
        encode_kwargs["normalize_embeddings"] = spec.normalize
    return OpenModel(
        encoder=encoder,
        module=loaded,
        identity=identity,
        settings=settings_of(loaded, prompting.in_the_clear(), spec.quantize),
        device=place,
        quantize=spec.quantize,
        batch_size=spec.batch_size or 32,
        encode_kwargs=encode_kwargs,
        batched=batched,
        prompt_used=lambda: encoder.prompt_used,
    )


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
        settings=Settings() if loaded is None else settings_of(loaded, None, None),
        device=device,
        quantize=None,
        batch_size=spec.batch_size,
        encode_kwargs=dict(spec.encode_kwargs),
        prompt_used=(lambda: None) if loaded is None else watch_prompts(loaded),
    )


def open_reranker(model: Model, device: str, store: Store) -> OpenReranker:
    """Load a cross-encoder, or open one behind an API.

    Args:
        model: the specification, of kind ``cross-encoder`` or a rerank endpoint, and its alias.
        device: auto, cpu, cuda, cuda:N or mps; auto is the GPU where there is one.
        store: remembers the hashes of the weights.

    Raises:
        ModelError: it cannot be loaded, gives no score for a pair, or the device is not there.
    """
    from mteb.models import CrossEncoderWrapper

    spec = model.spec
    if isinstance(spec, ApiSpec) and spec.reranks:
        return api.open_reranker(model, spec, store)
    if not isinstance(spec, CrossEncoderSpec):
        raise ModelError(f'{model.alias}: a model of kind "{spec.kind}" is no cross-encoder')
    weights = locate(model, store)
    identity = describe(model, weights)
    place = resolve_device(device)
    loaded = load_cross_encoder(spec, model.alias, weights, place)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapper = CrossEncoderWrapper(loaded)  # makes a half-precision model's last layer float32, as mteb scores it
    meta = make_meta(wrapper.mteb_model_meta, identity, model)
    prompt = spec.prompt or ""
    batched = BatchedReranker(loaded, meta, prompt=prompt, pairs_at_once=spec.batch_size)
    batched.check()
    return OpenReranker(
        reranker=batched,
        identity=identity,
        settings=Settings(
            prompts={"query": prompt} if prompt else {},
            max_length=max_length_of(loaded),
            dtype=dtype_of(loaded),
        ),
        device=place,
        prompt=prompt,
        batch_size=spec.batch_size or 32,
        encode_kwargs=dict(spec.encode_kwargs),
        batched=batched,
    )
