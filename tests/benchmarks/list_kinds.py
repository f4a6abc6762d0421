"""What becomes of each kind of folder: its vectors beside those of plain sentence-transformers, or the error.

Run by hand: ``python -m tests.benchmarks.list_kinds`` (a minute). Prints a table: the largest distance of a vector at
batch size 1 from the library's own, relative to its length, or the sentence.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from tests import folders
from tests.encoders import open_reranker, save_tiny_cross_encoder, save_tiny_model
from tests.models.test_dense_encoders import as_mteb_does
from tests.models.test_detection import save_cross, save_multi, save_sparse, write
from tests.models.test_trust import Bomb
from touchstone.config.base import Spec
from touchstone.config.models import Model
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec
from touchstone.encoding.batching import BatchedModel
from touchstone.errors import TouchstoneError
from touchstone.models.kinds import open_encoder
from touchstone.store.folder import Store

TEXTS = ("a text", "another one, which is longer than the first", "numbers 1 2 3", "")
POINTER = "version https://git-lfs.github.com/spec/v1"
Build = Callable[[Path], Path]


def tiny_with(**files: Any) -> Build:
    """Return what saves a tiny BERT with other files; ``__`` in a name is a point, None removes one."""

    def build(folder: Path) -> Path:
        save_tiny_model(folder)
        for name, content in files.items():
            path = folder / name.replace("__", ".")
            if content is None:
                path.unlink()
            else:
                write(folder, {path.name: content})
        return folder

    return build


def encoder(architecture: str = "Bert", **more: Any) -> Build:
    """Return what saves a transformer with a pooling."""
    return lambda folder: folders.save_encoder(folder, architecture, **more)


def lacking(part: str, prefix: str = "") -> Build:
    """Return what saves a tiny BERT without some tensors, or with all of them under a prefix."""

    def build(folder: Path) -> Path:
        from safetensors.torch import load_file, save_file

        file = save_tiny_model(folder) / "model.safetensors"
        kept = {prefix + name: tensor for name, tensor in load_file(file).items() if not part or part not in name}
        save_file(kept, file, metadata={"format": "pt"})
        return folder

    return build


def cut(folder: Path) -> Path:
    """Save a tiny BERT whose weights end too early."""
    file = save_tiny_model(folder) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    return folder


def shard_missing(folder: Path) -> Path:
    """Save a BERT in shards of which one is gone."""
    next(iter(sorted(folders.save_sharded(folder).glob("model-*.safetensors")))).unlink()
    return folder


def pickled_code(folder: Path) -> Path:
    """Save a tiny BERT whose weights are a pickle that would make a file."""
    import torch

    (save_tiny_model(folder) / "model.safetensors").unlink()
    torch.save({"bomb": Bomb(folder / "made")}, folder / "pytorch_model.bin")
    return folder


KINDS: dict[str, Build] = {
    "BERT, mean": encoder(), "BERT, cls": encoder(pooling="cls"), "BERT, max": encoder(pooling="max"),
    "BERT, weightedmean": encoder(pooling="weightedmean"),
    "BERT, mean_sqrt_len_tokens": encoder(pooling="mean_sqrt_len_tokens"),
    "BERT, three poolings": encoder(pooling=("cls", "mean", "max")), "MPNet": encoder("MPNet"),
    "XLM-RoBERTa": encoder("XLMRoberta"), "ModernBERT": encoder("ModernBert"), "T5, no limit": folders.save_t5,
    "Qwen2, last token": folders.save_decoder, "Llama, last token": lambda f: folders.save_decoder(f, "Llama"),
    "Dense and Normalize": folders.save_dense, "LayerNorm, Dropout": folders.save_layer_norm,
    "layers weighted": folders.save_layers_weighted, "shards": folders.save_sharded,
    "include_prompt false": folders.save_without_prompt_in_pooling, "static": folders.save_static,
    "model2vec": folders.save_model2vec, "Router, default": folders.save_router,
    "Router, none": lambda f: folders.save_router(f, default=None), "words": folders.save_words,
    "words, CNN": lambda f: folders.save_words(f, "CNN"), "words, LSTM": lambda f: folders.save_words(f, "LSTM"),
    "bag of words": folders.save_bag_of_words, "pooler missing": lacking("pooler"),
    "layer missing": lacking("layer.1."), "all under module.": lacking("", "module."), "weights cut": cut,
    "SPLADE": save_sparse, "multi-vector": save_multi, "cross-encoder": save_cross, "bare cross-encoder":
    save_tiny_cross_encoder, "classifier of 3": lambda f: save_tiny_cross_encoder(f, labels=3),
    "bare transformer": lambda f: save_tiny_model(f).with_name(f"{f.name}-bare"),
    "unknown model_type": tiny_with(config_sentence_transformers__json={"model_type": "TensorEncoder"}),
    "no padding token": folders.save_without_padding_token,
    "pointer as weights": tiny_with(model__safetensors=POINTER),
    "pointer as tokenizer": tiny_with(tokenizer__json=POINTER),
    "not JSON": tiny_with(config__json="<html>"), "no weights": tiny_with(model__safetensors=None),
    "weights_only false": tiny_with(sentence_bert_config__json={"model_args": {"weights_only": False}}),
    "auto_map": tiny_with(tokenizer_config__json={"auto_map": {"AutoTokenizer": ["m.T", None]}}),
    "ONNX alone": lambda f: write(f, {"config.json": {}, "onnx/model.onnx": ""}),
    "adapter": lambda f: write(f, {"adapter_config.json": {"base_model_name_or_path": str(f)}, "config.json": {},
                                   "adapter_model.safetensors": ""}),
    "empty": lambda f: write(f, {"README.md": ""}), "pointer as config": tiny_with(config__json=POINTER),
    "pointer as modules.json": tiny_with(modules__json=POINTER), "a shard missing": shard_missing,
    "pickle with code": pickled_code,
    "OpenVINO alone": lambda f: write(f, {"config.json": {}, "openvino/openvino_model.xml": ""}),
    "model2vec, no modules.json": lambda f: write(f, {"config.json": {"model_type": "model2vec"}}),
    "encoder as cross-encoder": save_tiny_model, "Router, none, with STS": lambda f: folders.save_router(f, None),
    "other sha256 pinned": save_tiny_model, "package not installed": save_tiny_model,
}  # fmt: skip
SPECS: dict[str, Callable[[Path], Spec]] = {
    "encoder as cross-encoder": lambda folder: CrossEncoderSpec(path=folder),
    "other sha256 pinned": lambda folder: EncoderSpec(path=folder, sha256="0" * 64),
    "package not installed": lambda folder: EncoderSpec(package="no_such_weights", path=Path("model")),
}


def compare(name: str, folder: Path, store: Path) -> str:
    """Return what became of a folder."""
    from sentence_transformers import SentenceTransformer

    spec = SPECS[name](folder) if name in SPECS else EncoderSpec(path=folder)
    model = Model(alias="x", spec=spec, text="x")
    try:
        opened: Any = (open_reranker if isinstance(spec, CrossEncoderSpec) else open_encoder)(
            model, "cpu", Store(store)
        )
        if name.endswith("with STS"):
            as_mteb_does(opened, TEXTS, None)
    except TouchstoneError as error:
        made = ", AND ITS CODE RAN" if (folder / "made").exists() else ""
        return str(error).removeprefix("x: ").replace(str(folder), "FOLDER") + made
    plain: Any = SentenceTransformer(str(folder), device="cpu")
    one_by_one = BatchedModel(opened.module, texts_at_once=1)
    apart = 0.0
    for role in one_by_one.roles:
        encode = plain.encode if role is None else getattr(plain, f"encode_{role}")
        own = np.stack([encode(text) for text in TEXTS])
        found = one_by_one.encode(TEXTS, role=role)
        apart = max(apart, float(np.abs(found - own).max() / (np.linalg.norm(own, axis=1).max() or 1.0)))
    return f"runs, {apart:.1e}"


def main() -> None:
    """Print the table."""
    print("| folder | what happens |\n|---|---|")
    with TemporaryDirectory() as place:
        for number, (name, build) in enumerate(KINDS.items()):
            folder = build(Path(place) / f"kind-{number}")
            print(f"| {name} | {compare(name, folder, Path(place) / 'store')} |", flush=True)
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
