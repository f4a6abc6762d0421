"""Tiny models with random weights of the architectures that the known models have, and plain ways to run them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;'?!-\n"
WIDTH = 32
LONGEST = 128
SIZES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 2 * WIDTH,
    "max_position_embeddings": 2 * LONGEST,
    "initializer_range": 0.5,  # the usual 0.02 gives an untrained model that maps all texts to one place
}
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]


def save_bare(kind: str, folder: Path) -> Path:
    """Write a transformer and its tokenizer, nothing that says how its vectors become one.

    ``kind`` is bert, mpnet or mistral. Every letter is a token, between ``<s>`` and ``</s>``.
    """
    from transformers import BertConfig, BertModel, MistralConfig, MistralModel, MPNetConfig, MPNetModel

    vocabulary = len(SPECIAL) + len(LETTERS)
    torch.manual_seed(5)
    model: Any
    if kind == "bert":
        model = BertModel(BertConfig(vocab_size=vocabulary, pad_token_id=0, **SIZES))
    elif kind == "mpnet":
        model = MPNetModel(MPNetConfig(vocab_size=vocabulary, pad_token_id=0, bos_token_id=2, eos_token_id=3, **SIZES))
    else:
        config = MistralConfig(
            vocab_size=vocabulary, num_key_value_heads=1, pad_token_id=3, bos_token_id=2, eos_token_id=3, **SIZES
        )
        model = MistralModel(config)
    model.eval().save_pretrained(folder)
    # The last-token model pads with its end token: a padding is then told from an end by the mask alone.
    make_tokenizer("</s>" if kind == "mistral" else "<pad>").save_pretrained(folder)
    return folder


def save_with_pooling(bare: Path, folder: Path, pooling: str, *, normalize: bool = True) -> Path:
    """Write a bare transformer as sentence-transformers folder with a pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    mode: Any = pooling
    modules: list[Any] = [Transformer(str(bare), max_seq_length=LONGEST), Pooling(WIDTH, mode)]
    model = SentenceTransformer(modules=modules + ([Normalize()] if normalize else []), device="cpu")
    model.save(str(folder), create_model_card=False)
    return folder


def hidden_states(bare: Path, texts: Sequence[str], side: str = "right", longest: int = LONGEST) -> tuple[Any, Any]:
    """Run a bare transformer by transformers alone; the last hidden states and the attention mask, as numpy."""
    from transformers import AutoModel, AutoTokenizer

    load_tokenizer: Any = AutoTokenizer.from_pretrained
    tokenizer = load_tokenizer(bare, padding_side=side)
    load_model: Any = AutoModel.from_pretrained
    model = load_model(bare).eval()
    inputs = tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
    with torch.no_grad():
        states = model(**inputs).last_hidden_state
    return states.float().numpy(), inputs["attention_mask"].numpy()


def pool(states: Any, mask: Any, pooling: str) -> NDArray[np.float32]:
    """Make one vector of each text's states (texts, tokens, width), by the definition of each pooling."""
    define: dict[str, Callable[[Any, Any], Any]] = {
        "cls": lambda t, _: t[0],
        "lasttoken": lambda t, _: t[-1],
        "max": lambda t, _: t.max(axis=0),
        "mean": lambda t, _: t.mean(axis=0),
        "mean_sqrt_len_tokens": lambda t, _: t.sum(axis=0) / np.sqrt(len(t)),
        "weightedmean": lambda t, w: (t * w).sum(axis=0) / w.sum(),
    }
    rows = []
    for state, kept in zip(states, mask.astype(bool), strict=True):
        tokens = state[kept]  # what is not padding, in its order, wherever the padding is
        weights = np.arange(1, len(tokens) + 1)[:, None]
        rows.append(define[pooling](tokens, weights))
    return np.asarray(rows, dtype=np.float32)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each vector to the length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def make_tokenizer(padding: str | None = "<pad>", limit: int | None = LONGEST) -> Any:
    """Make a tokenizer of letters; without a limit it says one of thirty digits, as T5's does."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate([*SPECIAL, *LETTERS])}
    plain: Any = Tokenizer(WordLevel(words, unk_token="<unk>"))
    plain.pre_tokenizer = Split(Regex(r"[\s\S]"), "isolated")
    plain.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    make: Any = PreTrainedTokenizerFast
    return make(
        tokenizer_object=plain, pad_token=padding, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        cls_token="<s>", sep_token="</s>", mask_token="<mask>", model_max_length=limit,
    )  # fmt: skip
