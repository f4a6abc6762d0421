"""sentence-transformers models: the vector space of one, and its wrapper for mteb."""

import warnings
from typing import TYPE_CHECKING

from touchstone.config.models import Model
from touchstone.models.base import make_meta
from touchstone.models.devices import computed_by
from touchstone.models.identity import Weights, vector_fingerprint
from touchstone.records.outcomes import ModelIdentity

if TYPE_CHECKING:
    from mteb import EncoderProtocol
    from sentence_transformers import SentenceTransformer


def space_of(model: Model, weights: Weights, identity: ModelIdentity, loaded: "SentenceTransformer") -> dict[str, str]:
    """Say all that decides a text's vector but the call itself, for the store of vectors.

    Another version of a library, or another device, computes its own: comparing them is what parity checks are for.
    """
    return {
        "model": identity.name,
        "fingerprint": vector_fingerprint(model, weights),
        "dtype": str(loaded.dtype).removeprefix("torch."),
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
