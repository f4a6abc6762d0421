"""Encoders that are wrong in known ways, and tiny models with random weights."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from touchstone.config.models import Model
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.meter import Meter
from touchstone.models.base import OpenModel, OpenReranker
from touchstone.models.kinds import KINDS, open_model
from touchstone.store.folder import Store

Vectors = NDArray[np.float32]
Fault = Callable[[Vectors], Vectors]


def shuffled(vectors: Vectors) -> Vectors:
    return vectors[np.random.default_rng(7).permutation(len(vectors))]


def half_zeroed(vectors: Vectors) -> Vectors:
    kept = vectors.copy()
    kept[:, vectors.shape[1] // 2 :] = 0
    return kept


def with_nan(vectors: Vectors) -> Vectors:
    broken = vectors.copy()
    broken[len(vectors) // 2, 3] = np.nan
    return broken


def collapsed(vectors: Vectors) -> Vectors:
    return np.asarray(1 + 1e-3 * vectors, dtype=np.float32)


def raising(vectors: Vectors) -> Vectors:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


class Faulty(MtebEncoder):
    """A healthy encoder whose vectors go through a fault, task by task."""

    def __init__(self, opened: OpenModel, meter: Meter, faults: Mapping[str, Fault]) -> None:
        healthy: Any = opened.for_mteb(meter)
        super().__init__(opened.encoder, healthy, opened.prompting, meter)  # type: ignore[arg-type]
        self.faults = faults

    def compute(self, inputs: Any, task_metadata: Any, prompt_type: Any, options: Any) -> Any:
        vectors, prompt = super().compute(inputs, task_metadata, prompt_type, options)
        fault = self.faults.get(task_metadata.name)
        return vectors if fault is None else fault(np.asarray(vectors)), prompt


def plant(monkeypatch: pytest.MonkeyPatch, faults: Mapping[str, Fault]) -> None:
    """Make every model of a run faulty on the tasks named, behind its unchanged fingerprint."""

    kind = KINDS["sentence-transformers"]

    def open_faulty(model: Model, device: str, store: Store) -> OpenModel:
        opened: Any = kind.open(model, device, store)
        faulty: OpenModel = dataclasses.replace(opened, for_mteb=lambda meter: Faulty(opened, meter, faults))
        return faulty

    monkeypatch.setitem(KINDS, kind.name, dataclasses.replace(kind, open=open_faulty))


def save_tiny_model(folder: Path, seed: int = 0, dimension: int = 32) -> Path:
    """Write a sentence-transformers folder: a two-layer BERT with random weights and mean pooling."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertModel

    bare = folder.with_name(folder.name + "-bare")
    BertModel(_save_tiny_tokenizer(bare, seed, dimension)).save_pretrained(bare)
    transformer = Transformer(str(bare), max_seq_length=64)
    model = SentenceTransformer(modules=[transformer, Pooling(dimension)], device="cpu")
    model.save(str(folder), create_model_card=False)
    return folder


def save_tiny_cross_encoder(folder: Path, seed: int = 0, labels: int = 1) -> Path:
    """Write a cross-encoder's folder: a two-layer BERT with random weights and one score for a pair."""
    from transformers import BertForSequenceClassification

    config = _save_tiny_tokenizer(folder, seed, dimension=32)
    config.num_labels = labels
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def _save_tiny_tokenizer(folder: Path, seed: int, dimension: int) -> Any:
    """Write a tokenizer of letters, seed the weights to come, and return the architecture that fits both."""
    import torch
    from transformers import BertConfig, BertTokenizer

    folder.mkdir(parents=True)
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + letter for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    torch.manual_seed(seed)
    return BertConfig(
        vocab_size=len(words),
        hidden_size=dimension,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * dimension,
        max_position_embeddings=128,
        initializer_range=0.5,  # the usual 0.02 gives an untrained model that maps all texts to one place
    )


def open_reranker(model: Model, device: str, store: Store) -> OpenReranker:
    """Load a model that scores pairs."""
    opened = open_model(model, device, store)
    assert isinstance(opened, OpenReranker)
    return opened
