"""sentence-transformers models: opened, with the vector space of one and its wrapper for mteb."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec
from touchstone.encoding.batches.packing import Packing
from touchstone.encoding.batching import BatchedModel, dtype_of, rounding_of
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.trial import find_packing
from touchstone.files.writing import to_json
from touchstone.models.base import MTEB_PREFIX, ModelKind, OpenModel, make_meta, prompting_of
from touchstone.models.weights.calibration import make_quantizer, quantized_by
from touchstone.models.weights.devices import computed_by, find_device
from touchstone.models.weights.identity import Weights, describe, identify, locate, vector_fingerprint
from touchstone.models.weights.loading import load, settings_of
from touchstone.models.weights.published_prompts import check_prompts
from touchstone.records.outcomes import ModelIdentity
from touchstone.store.folder import Store

if TYPE_CHECKING:
    from mteb import EncoderProtocol
    from sentence_transformers import SentenceTransformer

    from touchstone.encoding.base import Comparing


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a loaded model's vectors are made: where, in which batches, and everything that decides them."""

    device: str
    space: Mapping[str, str]
    texts_at_once: int | None
    packing: Packing | None = None


def space_of(model: Model, weights: Weights, loaded: "SentenceTransformer") -> dict[str, str]:
    """Return everything that decides a text's vector but the call itself; the model's name does not.

    Another version of a library, or another device, computes its own: comparing them is what parity checks are for.
    """
    return {
        "fingerprint": vector_fingerprint(model, weights),
        "dtype": dtype_of(loaded),
        **computed_by(str(loaded.device)),
    }


def wrap(loaded: "SentenceTransformer", identity: ModelIdentity, model: Model) -> "EncoderProtocol":
    """Wrap a loaded model in mteb's class, under our name, for its metadata and similarity."""
    from mteb.models import SentenceTransformerEncoderWrapper

    with warnings.catch_warnings():
        # About prompts, which are not the wrapper's to choose here.
        warnings.simplefilter("ignore")
        wrapper = SentenceTransformerEncoderWrapper(loaded)
    wrapper.mteb_model_meta = make_meta(wrapper.mteb_model_meta, identity, model)
    return wrapper


def open_sentence_transformer(model: Model, device: str, store: Store) -> OpenModel:
    """Load a model exactly as its specification says, with the vectors of it that the store has.

    Raises:
        ModelError: it cannot be loaded, mteb measures it with prompts and here nothing is said of them, its vectors
            depend on their batch, or the device is not there.
    """
    spec = model.spec_of(EncoderSpec)
    weights = locate(model, store)
    place = find_device(model, device)
    loaded = load(spec, model.alias, weights, place)
    space = space_of(model, weights, loaded)
    packing = find_packing(loaded, partial(store.remember, f"packing {to_json(space)}"))
    way = Way(device=place, space=space, texts_at_once=spec.batch_size, packing=packing)
    return make_open(model, loaded, weights=weights, store=store, way=way)


def make_open(model: Model, loaded: "SentenceTransformer", *, weights: Weights, store: Store, way: Way) -> OpenModel:
    """Return a loaded model with its prompts and the vectors of it that the store has.

    Raises:
        ModelError: mteb measures it with prompts and here nothing is said of them, or its vectors depend on their
            batch.
    """
    spec = model.spec_of(EncoderSpec)
    identity = describe(model, weights)
    check_prompts(spec, loaded)
    prompting = prompting_of(spec, loaded)
    batches: dict[str, Any] = {"texts_at_once": way.texts_at_once, "packing": way.packing}
    canaries = BatchedModel(loaded, **batches).check()
    check_unchanged = partial(weights.check_unchanged, model.alias)
    check_unchanged(loaded=True)
    labels = {"name": identity.name, "fingerprint": identity.fingerprint}
    embeddings = store.embeddings(
        way.space, **labels, canaries=canaries, within=rounding_of(loaded), check=check_unchanged
    )
    batched = BatchedModel(loaded, embeddings=embeddings, **batches)
    wrapped = cast("Comparing", wrap(loaded, identity, model))
    normalize = {} if spec.normalize is None else {"normalize_embeddings": spec.normalize}
    encode_kwargs = {**spec.encode_kwargs, **normalize}
    by_mteb = (spec.quantize or "").startswith(MTEB_PREFIX)
    if spec.quantize and not by_mteb:
        batched.quantize = make_quantizer(spec.quantize, batched, prompting, encode_kwargs)
    return OpenModel(
        for_mteb=lambda meter: MtebEncoder(batched, wrapped, prompting, meter),
        encoder=batched,
        prompting=prompting,
        module=loaded,
        identity=identity,
        settings=settings_of(loaded, prompting.in_the_clear(), quantized_by(spec.quantize)),
        device=way.device,
        searched_on=way.device,
        quantize=spec.quantize if by_mteb else None,
        batch_size=spec.batch_size or 32,
        encode_kwargs=encode_kwargs,
        check_unchanged=check_unchanged,
    )


KIND = ModelKind(
    name="sentence-transformers",
    spec=EncoderSpec,
    identify=identify,
    open=open_sentence_transformer,
    device=find_device,
    prompts=lambda model: model.spec_of(EncoderSpec).prompts or {},
    divides=True,
)
