"""Load a sentence-transformers model exactly as its specification says, or not at all."""

import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from touchstone.config.specs import EncoderSpec, WeightsSpec
from touchstone.encoding.batches.token_batches import limit_of
from touchstone.encoding.batching import BatchedModel, dtype_of
from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.routes import reader_of, roles_of
from touchstone.errors import ModelError, first_line
from touchstone.models.files.trust import BAD_PICKLE, ask_for_trust, weights_only
from touchstone.models.weights.identity import Weights
from touchstone.models.weights.tensors import Loaded, check_tensors, noting_tensors
from touchstone.records.outcomes import Settings

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


T = TypeVar("T")
POOLING_CLASS = re.compile(r"sentence_transformers\..+\.Pooling")


def load(spec: EncoderSpec, alias: str, weights: Weights, device: str) -> "SentenceTransformer":
    """Load a model and set what the specification says of it.

    Raises:
        ModelError: it cannot be loaded, needs Python that is not trusted, has no pooling and is given none, or lacks
            tensors that its vectors depend on.
    """
    from sentence_transformers import SentenceTransformer

    loaded, noted = construct(SentenceTransformer, spec, weights, device=device, truncate_dim=spec.truncate_dim)
    set_pooling(loaded, spec, alias, weights)
    set_readers(loaded, spec, weights.label)
    one_by_one = BatchedModel(loaded, texts_at_once=1)
    roles = one_by_one.roles or (None,)
    check_tensors(
        noted,
        lambda: np.concatenate([one_by_one.encode(CANARIES, role=role).ravel() for role in roles]),
        weights.label,
    )
    return loaded


def set_readers(loaded: "SentenceTransformer", spec: EncoderSpec, place: str) -> None:
    """Set where a model cuts texts and on which side it pads them, as its specification says, and make it ready.

    Raises:
        ModelError: it cuts or pads none, or has no token to pad them with.
    """
    readers = [reader_of(loaded, role) for role in roles_of(loaded)]
    if spec.max_seq_length is not None and not set_limit(readers, spec.max_seq_length):
        raise ModelError(f"max_seq_length = {spec.max_seq_length}, but {place} cuts no texts")
    if spec.padding_side is not None:
        if not (tokenizers := _padding(readers)):
            raise ModelError(f'padding_side = "{spec.padding_side}", but {place} pads no texts')
        for tokenizer in tokenizers:
            tokenizer.padding_side = spec.padding_side
    make_ready(loaded, readers, place)


def make_ready(loaded: "torch.nn.Module", readers: Sequence[Any], place: str) -> None:
    """Turn off a model's cache of past tokens; refuse a model whose texts cannot be padded.

    Raises:
        ModelError: one of its readers has a tokenizer without a padding token.
    """
    for module in loaded.modules():
        config: Any = getattr(module, "config", None)
        if getattr(config, "use_cache", False):
            config.use_cache = False
    needed = not getattr(loaded, "_can_flatten_inputs", bool)()  # some attentions take texts without padding
    for tokenizer in _padding(readers):
        if needed and tokenizer.pad_token is None:
            example = tokenizer.eos_token or tokenizer.unk_token or "[PAD]"
            raise ModelError(
                f"the tokenizer of {place} has no padding token, without which no batch can be made; name one "
                f'of its tokens in tokenizer_config.json, such as "pad_token": "{example}"'
            )


def _padding(readers: Sequence[Any]) -> list[Any]:
    """Return the tokenizers that pad texts; those of static vectors and of words pad none."""
    tokenizers = (getattr(reader, "tokenizer", None) for reader in readers)
    return [tokenizer for tokenizer in tokenizers if hasattr(tokenizer, "padding_side")]


def set_limit(readers: Sequence[Any], limit: int) -> bool:
    """Cut texts after a number of tokens; return True if any can be cut."""
    cut = False
    for reader in readers:
        if hasattr(reader, "max_seq_length"):
            with suppress(AttributeError):  # static vectors have a limit, infinity, that cannot be set
                reader.max_seq_length, cut = limit, True
    return cut


def construct(kind: Callable[..., T], spec: WeightsSpec, weights: Weights, **extra: Any) -> tuple[T, Sequence[Loaded]]:
    """Load a model by a class of sentence-transformers, from its place alone; also note its tensors.

    Raises:
        ModelError: it cannot be loaded, or needs Python that is not trusted.
    """
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]  # a bar of a tenth of a second, in a test's own line
    if (Path(weights.place) / "adapter_config.json").is_file():
        _need_peft(weights.label)
    try:
        with noting_tensors() as noted, nullcontext() if spec.trust_remote_code else weights_only():
            loaded = kind(
                weights.place,
                trust_remote_code=spec.trust_remote_code,
                local_files_only=True,
                **{**spec.loading, **extra},
            )
    except pickle.UnpicklingError as error:
        raise ModelError(f"{weights.label} {BAD_PICKLE}") from error
    except Exception as error:  # any library below may refuse, each in its own way
        weights.forget()
        if isinstance(error, ModelError):  # about a graph
            raise
        if "trust_remote_code" in str(error) and not spec.trust_remote_code:
            raise ModelError(ask_for_trust(weights.label)) from error
        raise ModelError(f"cannot be loaded from {weights.label}: {_on_one_line(error)}") from error
    return loaded, noted


def _need_peft(place: str) -> None:
    """Refuse an adapter where the package that puts it on its base is not there, or too old for transformers."""
    from transformers.integrations.peft import MIN_PEFT_VERSION
    from transformers.utils.peft_utils import check_peft_version

    try:
        check_peft_version(min_version=MIN_PEFT_VERSION)
    except ValueError:
        command = "pip install peft" if find_spec("peft") is None else f'pip install "peft>={MIN_PEFT_VERSION}"'
        raise ModelError(f"{place} is an adapter, which needs the package peft: {command}") from None


def _on_one_line(error: Exception) -> str:
    """Return an exception of a library in one line; the tensors that a module lacks are in its later lines."""
    detail = " ".join(str(error).split())[:300] if "Missing key" in str(error) else ""
    damaged = "; the file is cut or damaged, fetch it again" if type(error).__name__ == "SafetensorError" else ""
    return f"{type(error).__name__}: {detail}" if detail else first_line(error) + damaged


def pooling_of(loaded: "SentenceTransformer") -> str | None:
    """Return the pooling's name, None for a model without; several poolings are joined by +."""
    pooling = find_pooling(loaded)
    if pooling is None:
        return None
    mode = pooling.pooling_mode
    return mode if isinstance(mode, str) else "+".join(mode)


def find_pooling(loaded: "SentenceTransformer") -> Any:
    """Return the module that pools the vectors of tokens, None where there is none."""
    return next(filter(is_pooling, loaded), None)


def is_pooling(module: Any) -> bool:
    """Return True for a pooling of the library's own, of whichever version; another class may have the name alone."""
    return POOLING_CLASS.fullmatch(f"{type(module).__module__}.{type(module).__name__}") is not None


def set_pooling(loaded: "SentenceTransformer", spec: EncoderSpec, alias: str, weights: Weights) -> None:
    """Give the model the pooling of its specification; refuse a guess where neither it nor the model has one."""
    from sentence_transformers.util import is_sentence_transformer_model

    if spec.pooling is None:
        # For a bare transformer the library guesses the mean, or the last token, in a line of its log.
        if not is_sentence_transformer_model(weights.place, local_files_only=True):
            raise ModelError(
                f"{weights.label} is a bare transformer, without a pooling; set the one that its card names, "
                f'pooling = "mean" in models.toml or {alias}@pooling=mean'
            )
        return
    old = find_pooling(loaded)
    if old is None:
        raise ModelError(f'pooling = "{spec.pooling}", but {weights.label} has no vectors of tokens to pool')
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
        max_length=limit_of(loaded),
        dtype=dtype_of(loaded),
        dimension=loaded.get_embedding_dimension(),
        quantize=quantize,
    )
