"""Load a sentence-transformers model exactly as its specification says, or not at all."""

import pickle
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from touchstone.config.specs import EncoderSpec, WeightsSpec
from touchstone.errors import ModelError, first_line
from touchstone.models.files.trust import NOT_RUN, ask_for_trust, weights_only
from touchstone.models.identity import Weights
from touchstone.records.outcomes import Settings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


T = TypeVar("T")


def load(spec: EncoderSpec, alias: str, weights: Weights, device: str) -> "SentenceTransformer":
    """Load a model and set what the specification says of it.

    Raises:
        ModelError: it cannot be loaded, needs Python that is not trusted, or has no pooling and is given none.
    """
    from sentence_transformers import SentenceTransformer

    loaded = construct(SentenceTransformer, spec, alias, weights, device=device, truncate_dim=spec.truncate_dim)
    _set_pooling(loaded, spec, alias, weights)
    if spec.max_seq_length is not None:
        loaded.max_seq_length = spec.max_seq_length
    if spec.padding_side is not None:
        if not hasattr(loaded.tokenizer, "padding_side"):  # that of static vectors pads nothing
            raise ModelError(f'{alias}: padding_side = "{spec.padding_side}", but {weights.called} pads no texts')
        loaded.tokenizer.padding_side = spec.padding_side
    return loaded


def construct(kind: Callable[..., T], spec: WeightsSpec, alias: str, weights: Weights, **more: Any) -> T:
    """Make one of sentence-transformers' classes of a model, from its place and no other.

    Raises:
        ModelError: it cannot be loaded, or needs Python that is not trusted.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # a bar of a tenth of a second, in a test's own line
    model_kwargs = dict(spec.model_kwargs)
    if spec.dtype != "auto":
        model_kwargs["dtype"] = spec.dtype
    try:
        with nullcontext() if spec.trust_remote_code else weights_only():
            loaded = kind(
                weights.place,
                trust_remote_code=spec.trust_remote_code,
                model_kwargs=model_kwargs,
                config_kwargs=dict(spec.config_kwargs),
                local_files_only=True,
                **more,
            )
    except pickle.UnpicklingError as error:
        raise ModelError(f"{alias}: {weights.called} {NOT_RUN}") from error
    except Exception as error:  # any library below may refuse, each in its own way
        if "trust_remote_code" in str(error) and not spec.trust_remote_code:
            raise ModelError(f"{alias}: {ask_for_trust(weights.called)}") from error
        raise ModelError(f"{alias}: cannot be loaded from {weights.called}: {first_line(error)}") from error
    return loaded


def pooling_of(loaded: "SentenceTransformer") -> str | None:
    """Return the pooling's name, None for a model without; several poolings are joined by +."""
    pooling = _find_pooling(loaded)
    if pooling is None:
        return None
    # sentence-transformers 6 has it as an attribute, 5 as a method
    mode = getattr(pooling, "pooling_mode", None) or pooling.get_pooling_mode_str()
    return mode if isinstance(mode, str) else "+".join(mode)


def dimension_of(loaded: "SentenceTransformer") -> int | None:
    """Return the number of dimensions; sentence-transformers 6 renamed the method."""
    get = getattr(loaded, "get_embedding_dimension", None) or loaded.get_sentence_embedding_dimension
    dimension: int | None = get()
    return dimension


def _find_pooling(loaded: "SentenceTransformer") -> Any:
    return next((module for module in loaded if type(module).__name__ == "Pooling"), None)


def _set_pooling(loaded: "SentenceTransformer", spec: EncoderSpec, alias: str, weights: Weights) -> None:
    """Give the model the pooling of its specification; refuse a guess where neither it nor the model has one."""
    from sentence_transformers.util import is_sentence_transformer_model

    if spec.pooling is None:
        # For a bare transformer the library guesses the mean, or the last token, in a line of its log.
        if not is_sentence_transformer_model(weights.place, local_files_only=True):
            raise ModelError(
                f"{alias}: {weights.called} is a bare transformer, without a pooling; say which one its card names, "
                f'pooling = "mean" in models.toml or {alias}@pooling=mean'
            )
        return
    old = _find_pooling(loaded)
    if old is None:
        raise ModelError(f'{alias}: pooling = "{spec.pooling}", but {weights.called} has no vectors of tokens to pool')
    width = getattr(old, "embedding_dimension", None) or old.word_embedding_dimension
    new = type(old)(width, pooling_mode=spec.pooling, include_prompt=old.include_prompt)
    for name, module in loaded.named_children():
        if module is old:
            setattr(loaded, name, new)


def settings_of(loaded: "SentenceTransformer", prompts: Mapping[str, str] | None, quantize: str | None) -> Settings:
    """Return how a loaded model runs, in the clear."""
    return Settings(
        prompts=prompts,
        pooling=pooling_of(loaded),
        max_length=loaded.max_seq_length,
        dtype=str(loaded.dtype).removeprefix("torch."),
        dimension=dimension_of(loaded),
        quantize=quantize,
    )
