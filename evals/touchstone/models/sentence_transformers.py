"""sentence-transformers models: opened, with the vector space of one and its wrapper for mteb."""

import warnings
from functools import partial
from typing import TYPE_CHECKING, cast

from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec
from touchstone.encoding.batching import BatchedModel, dtype_of, rounding_of
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.trial import find_packing
from touchstone.files.writing import to_json
from touchstone.models.base import BY_MTEB, ModelKind, OpenModel, make_meta, prompting_of
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


def space_of(model: Model, weights: Weights, loaded: "SentenceTransformer") -> dict[str, str]:
    """Return everything that decides a text's vector but the call itself, whatever the model is called.

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
    identity = describe(model, weights)
    place = find_device(model, device)
    loaded = load(spec, model.alias, weights, place)
    check_prompts(spec, loaded)
    prompting = prompting_of(spec, loaded)
    space = space_of(model, weights, loaded)
    packing = find_packing(loaded, partial(store.remember, f"packing {to_json(space)}"))
    canaries = BatchedModel(loaded, texts_at_once=spec.batch_size, packing=packing).check()
    check_unchanged = partial(weights.check_unchanged, model.alias)
    check_unchanged(loaded=True)
    known_by = {"name": identity.name, "fingerprint": identity.fingerprint}
    embeddings = store.embeddings(
        space, **known_by, canaries=canaries, within=rounding_of(loaded), check=check_unchanged
    )
    batched = BatchedModel(loaded, embeddings=embeddings, texts_at_once=spec.batch_size, packing=packing)
    wrapped = cast("Comparing", wrap(loaded, identity, model))
    normalize = {} if spec.normalize is None else {"normalize_embeddings": spec.normalize}
    encode_kwargs = {**spec.encode_kwargs, **normalize}
    by_mteb = (spec.quantize or "").startswith(BY_MTEB)
    if spec.quantize and not by_mteb:
        batched.quantize = make_quantizer(spec.quantize, batched, prompting, encode_kwargs)
    return OpenModel(
        for_mteb=lambda meter: MtebEncoder(batched, wrapped, prompting, meter),
        encoder=batched,
        prompting=prompting,
        module=loaded,
        identity=identity,
        settings=settings_of(loaded, prompting.in_the_clear(), quantized_by(spec.quantize)),
        device=place,
        searched_on=place,
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
)
