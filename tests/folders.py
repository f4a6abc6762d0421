"""Folders of tiny models with random weights, of each kind that sentence-transformers saves and runs.

A builder takes the folder to write, and returns it. All but those of words read letters, as `architectures` says.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.architectures import LONGEST, SIZES, SPECIAL, WIDTH, make_tokenizer

WORDS = ("a", "text", "river", "rises", "after", "rain", "what", "makes", "bread", "numbers", "the", "report", "late")
VOCABULARY: dict[str, Any] = {"vocab_size": make_tokenizer().vocab_size, "pad_token_id": 0}
ENDS = {"bos_token_id": SPECIAL.index("<s>"), "eos_token_id": SPECIAL.index("</s>")}
# What decoders have beside the sizes of all.
HEADS: dict[str, Any] = {"num_key_value_heads": 1, "head_dim": WIDTH // 2}
Pool = str | tuple[str, ...]


def save_modules(folder: Path, *modules: Any, **settings: Any) -> Path:
    """Write a sentence-transformers folder of modules; ``settings`` are of the model, such as its prompts."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(modules=list(modules), device="cpu", **settings)
    model.save(str(folder), create_model_card=False)
    return folder


def save_encoder(
    folder: Path,
    architecture: str = "Bert",
    *,
    pooling: Pool = "mean",
    more: Sequence[Any] = (),
    dtype: torch.dtype = torch.float32,
    **settings: Any,
) -> Path:
    """Write a transformer whose tokens are pooled, and what follows on that; it reads any length that it can."""
    return save_modules(folder, *transformer(folder, architecture, pooling, dtype=dtype), *more, **settings)


def save_t5(folder: Path) -> Path:
    """Write the encoder of a T5, whose tokenizer has no limit."""
    return save_modules(folder, *transformer(folder, "T5", limit=None))


def save_decoder(folder: Path, architecture: str = "Qwen2") -> Path:
    """Write a decoder whose last token is the text's vector, padded on the left."""
    return save_modules(folder, *transformer(folder, architecture, "lasttoken", side="left", **HEADS))


def save_without_padding_token(folder: Path) -> Path:
    """Write a decoder whose tokenizer names no token for padding."""
    return save_modules(folder, *transformer(folder, "Llama", "lasttoken", padding=None))


def save_as_published(
    folder: Path,
    architecture: str,
    *,
    pooling: str,
    longest: int,
    side: str = "right",
    prompts: Mapping[str, str] | None = None,
    **config: Any,
) -> Path:
    """Write a transformer, its pooling and vectors of the length 1, in the files that published folders of 2023 have.

    Their modules and poolings go by the library's names of then, and the last module has no folder, as git keeps none
    that is empty.
    """
    # Some architectures count the positions from behind the padding token's number.
    config = {"max_position_embeddings": longest + 2, **config}
    padding = "</s>" if pooling == "lasttoken" else "<pad>"
    first, pooled = transformer(folder, architecture, pooling, padding=padding, limit=longest, side=side, **config)
    save_modules(folder, first, pooled)
    parts = ("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(parts)
    ]
    modes = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "lasttoken": "lasttoken"}
    pool = {f"pooling_mode_{mode}": name == pooling for name, mode in modes.items()}
    versions = {"sentence_transformers": "2.2.2", "transformers": "4.28.1", "pytorch": "1.13.0"}
    files: dict[str, Any] = {
        "modules.json": modules,
        "1_Pooling/config.json": {"word_embedding_dimension": WIDTH, **pool},
        "sentence_bert_config.json": {"max_seq_length": longest, "do_lower_case": False},
        "config_sentence_transformers.json": {"__version__": versions} | ({"prompts": prompts} if prompts else {}),
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def save_dense(folder: Path) -> Path:
    """Write a BERT with a layer for another width, and vectors of the length 1."""
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    return save_encoder(folder, more=(Dense(WIDTH, 12), Normalize()))


def save_layer_norm(folder: Path) -> Path:
    """Write a BERT with a normalisation that has weights, and a dropout, which does nothing to a finished model."""
    from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm

    norm: Any = LayerNorm(WIDTH)
    torch.nn.init.normal_(norm.norm.weight)
    return save_encoder(folder, more=(norm, Dropout(0.5)))


def save_layers_weighted(folder: Path) -> Path:
    """Write a BERT whose layers are all part of its vectors."""
    from sentence_transformers.sentence_transformer.modules import WeightedLayerPooling

    first, pooling = transformer(folder, "Bert", output_hidden_states=True)
    return save_modules(folder, first, WeightedLayerPooling(WIDTH, num_hidden_layers=2, layer_start=1), pooling)


def save_sharded(folder: Path) -> Path:
    """Write a BERT whose weights are in several files."""
    from sentence_transformers import SentenceTransformer

    save_encoder(folder)
    loaded: Any = SentenceTransformer(str(folder), device="cpu")
    (folder / "model.safetensors").unlink()
    loaded[0].auto_model.save_pretrained(folder, max_shard_size="20KB")
    return folder


def save_without_prompt_in_pooling(folder: Path) -> Path:
    """Write a BERT whose pooling leaves out the prompt, as INSTRUCTOR's does."""
    first, pooling = transformer(folder, "Bert")
    pooling.include_prompt = False
    prompts: Any = {"query": "ask: ", "document": "", "STS": "same? "}
    return save_modules(folder, first, pooling, prompts=prompts, default_prompt_name="STS")


def save_static(folder: Path, width: int = WIDTH) -> Path:
    """Write static vectors of letters."""
    return save_modules(folder, static(width))


def save_model2vec(folder: Path) -> Path:
    """Write static vectors as model2vec does: fewer vectors than tokens, and a weight for each token."""
    from safetensors.numpy import save_file

    tokens, chosen = VOCABULARY["vocab_size"], np.random.default_rng(5)
    folder.mkdir(parents=True)
    make_tokenizer().backend_tokenizer.save(str(folder / "tokenizer.json"))
    arrays = {
        "embeddings": chosen.normal(size=(20, WIDTH)).astype(np.float32),
        "mapping": chosen.integers(0, 20, tokens),
        "weights": chosen.random(tokens),
    }
    save_file(arrays, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "architectures": ["StaticModel"]}))
    modules = [
        {"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"},
        {"idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


def save_router(folder: Path, default: str | None = "document", width: int = WIDTH) -> Path:
    """Write a model with static vectors of queries and a BERT for documents; ``default`` is for all other texts."""
    from sentence_transformers.sentence_transformer.modules import Normalize, Router

    router = Router.for_query_document(
        [static(width)], list(transformer(folder, "Bert")), default_route=default, allow_empty_key=default is not None
    )
    return save_modules(folder, router, Normalize())


def save_words(folder: Path, kind: str = "mean") -> Path:
    """Write vectors of words, pooled by ``mean``, or read by a ``CNN`` or ``LSTM`` first, or ``weighted``."""
    from sentence_transformers.sentence_transformer import modules as all_modules
    from sentence_transformers.sentence_transformer.modules import tokenizer

    torch.manual_seed(5)
    known = ["PADDING_TOKEN", *WORDS]
    vectors = torch.randn(len(known), WIDTH)
    vectors[0] = 0  # as the library makes that of the padding
    words = all_modules.WordEmbeddings(tokenizer.WhitespaceTokenizer(known, stop_words=()), vectors)
    between: list[Any] = []
    if kind == "CNN":
        between = [all_modules.CNN(WIDTH, out_channels=8, kernel_sizes=[1, 3])]
    elif kind == "LSTM":
        between = [all_modules.LSTM(WIDTH, hidden_dim=8)]
    elif kind == "weighted":
        between = [all_modules.WordWeights(known, dict.fromkeys(WORDS[::2], 2.5))]
    width = between[0].get_embedding_dimension() if kind in ("CNN", "LSTM") else WIDTH
    return save_modules(folder, words, *between, all_modules.Pooling(width))


def save_bag_of_words(folder: Path) -> Path:
    """Write a model without weights: it counts words."""
    from sentence_transformers.sentence_transformer.modules import BoW

    return save_modules(folder, BoW(list(WORDS), dict.fromkeys(WORDS[::2], 2.5)))


def save_cross_encoder(
    folder: Path,
    architecture: str = "Bert",
    *,
    padding: str | None = "<pad>",
    limit: int | None = LONGEST,
    **config: Any,
) -> Path:
    """Write a transformer that scores pairs."""
    import transformers

    torch.manual_seed(5)
    made = configuration(architecture, num_labels=1, **config)
    getattr(transformers, f"{architecture}ForSequenceClassification")(made).eval().save_pretrained(folder)
    make_tokenizer(padding, limit).save_pretrained(folder)
    return folder


def configuration(architecture: str, **config: Any) -> Any:
    """Make the configuration of a tiny transformer that reads letters."""
    import transformers

    sizes = dict(SIZES)
    if architecture == "T5":
        sizes = {"d_model": WIDTH, "d_kv": 16, "d_ff": 2 * WIDTH, "num_layers": 2, "num_heads": 2}
    return getattr(transformers, f"{architecture}Config")(**{**VOCABULARY, **ENDS, **sizes, **config})


def static(width: int = WIDTH) -> Any:
    """Make static vectors of letters."""
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    torch.manual_seed(5)
    return StaticEmbedding(make_tokenizer().backend_tokenizer, embedding_dim=width)


def transformer(
    folder: Path,
    architecture: str,
    pooling: Pool = "mean",
    *,
    padding: str | None = "<pad>",
    limit: int | None = LONGEST,
    side: str = "right",
    dtype: torch.dtype = torch.float32,
    **config: Any,
) -> tuple[Any, Any]:
    """Make a transformer and the pooling of its tokens, from a folder beside the one that is written."""
    import transformers
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    bare = folder.with_name(folder.name + "-bare")
    torch.manual_seed(5)
    kind = getattr(transformers, f"{architecture}{'EncoderModel' if architecture == 'T5' else 'Model'}")
    kind(configuration(architecture, **config)).eval().to(dtype).save_pretrained(bare)
    tokenizer = make_tokenizer(padding, limit)
    tokenizer.padding_side = side
    tokenizer.save_pretrained(bare)
    mode: Any = pooling
    return Transformer(str(bare)), Pooling(WIDTH, mode)
