"""A model is known by exactly the files that are loaded: those that a process opens, and no others."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import folders
from tests.encoders import save_tiny_cross_encoder, save_tiny_model
from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec
from touchstone.models.files.listing import in_folder
from touchstone.models.files.loaded import loaded_files
from touchstone.models.kinds import identify
from touchstone.store.folder import Store

JUNK = (
    "trainer_state.json", "training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", ".DS_Store",
    "NOTES.txt",
    "README.md", "all_results.json", "data_config.json", "generation_config.json", "model.safetensors.bak",
    "sentence_xlnet_config.json", "chat_template.json", "onnx/model.onnx", "eval/results.csv", "runs/events.out",
    "checkpoint-100/model.safetensors", "checkpoint-100/config.json", "1_Pooling/other.json", "flax_model.msgpack",
)  # fmt: skip
# Of a tokenizer that is whole in tokenizer.json.
OLD_VOCABULARY = ("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "tokenizer.model")
Build = Callable[[Path], Path]


def tiny(folder: Path) -> Path:
    return save_tiny_model(folder)


def bare(folder: Path) -> Path:
    return save_tiny_model(folder).with_name(f"{folder.name}-bare")


def cross_encoder_of_the_library(folder: Path) -> Path:
    from sentence_transformers import CrossEncoder

    plain = save_tiny_cross_encoder(folder.with_name(folder.name + "-plain"))
    CrossEncoder(str(plain), device="cpu").save_pretrained(str(folder))
    return folder


def in_a_subfolder(folder: Path) -> Path:
    tiny(folder)
    inside = folder / "0_Transformer"
    inside.mkdir()
    for path in [path for path in folder.iterdir() if path.is_file() and "sentence_transformers" not in path.name]:
        if path.name != "modules.json":
            path.rename(inside / path.name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    return folder


def pickled(folder: Path) -> Path:
    import torch
    from safetensors.torch import load_file

    weights = tiny(folder) / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    return folder


def pickled_beside(folder: Path) -> Path:
    plain = pickled(folder.with_name(folder.name + "-pickled"))
    shutil.copy(plain / "pytorch_model.bin", tiny(folder))
    return folder


def words_in_a_list(folder: Path) -> Path:
    (tiny(folder) / "tokenizer.json").unlink()
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]))
    return folder


def added_tokens(folder: Path) -> Path:
    tiny(folder)
    for name in ("special_tokens_map.json", "added_tokens.json"):
        (folder / name).write_text("{}")
    (folder / "chat_template.jinja").write_text("x")
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "one.jinja").write_text("y")
    return folder


def linked(folder: Path) -> Path:
    real = folders.save_dense(folder.with_name(folder.name + "-real"))
    folder.mkdir()
    for path in real.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


KINDS: dict[str, Build] = {
    "tiny": tiny, "bare": bare, "cross": save_tiny_cross_encoder, "cross of the library": cross_encoder_of_the_library,
    "subfolder": in_a_subfolder, "pickled": pickled, "pickled beside": pickled_beside,
    "words in a list": words_in_a_list,
    "added tokens": added_tokens, "linked": linked, "dense": folders.save_dense, "norm": folders.save_layer_norm,
    "layers": folders.save_layers_weighted, "sharded": folders.save_sharded, "static": folders.save_static,
    "model2vec": folders.save_model2vec, "router": folders.save_router, "words": folders.save_words,
    "words, LSTM": lambda folder: folders.save_words(folder, "LSTM"),
    "words, CNN": lambda folder: folders.save_words(folder, "CNN"),
    "words, weighted": lambda folder: folders.save_words(folder, "weighted"),
    "bag of words": folders.save_bag_of_words, "T5": folders.save_t5, "decoder": folders.save_decoder,
}  # fmt: skip
CHILD = """
import sys
from sentence_transformers import CrossEncoder, SentenceTransformer
for folder in sys.argv[1:]:
    kind = CrossEncoder if "cross" in folder.rpartition("/")[2] else SentenceTransformer
    kind(folder, device="cpu", local_files_only=True)
"""


def add_junk(folder: Path, content: str = "{}") -> None:
    more = OLD_VOCABULARY if (folder / "tokenizer.json").exists() and not (folder / "modules.json").exists() else ()
    for name in (*JUNK, *more):
        if name != "chat_template.json" or "added_tokens.json" not in {path.name for path in folder.iterdir()}:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("saved")
    found = {name: build(root / name) for name, build in KINDS.items()}
    for folder in found.values():
        add_junk(folder)
    return found


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_files_hashed_are_the_files_opened(saved: dict[str, Path], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-s", "500", "-e", "trace=open,openat,openat2", "-o", str(trace)]
    subprocess.run([*command, sys.executable, "-c", CHILD, *map(str, saved.values())], check=True, capture_output=True)
    opened = {Path(line) for line in re.findall(r'open\w*\([^"\n]*"([^"]+)"[^\n]*\) = \d+', trace.read_text())}
    for name, folder in saved.items():
        files = {
            path.relative_to(folder).as_posix() for path in opened if path.is_relative_to(folder) and path.is_file()
        }
        assert sorted(files - {"README.md"}) == loaded_files(in_folder(folder)), name


def fingerprint(folder: Path, store: Path) -> str:
    return identify(Model(alias="x", spec=EncoderSpec(path=folder), text="x"), Store(store)).fingerprint


@pytest.mark.parametrize("name", ["tiny", "dense", "router", "sharded", "static", "words", "added tokens", "linked"])
def test_each_file_that_is_loaded_counts_and_no_other(saved: dict[str, Path], name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(saved[name], tmp_path / "model")
    before = fingerprint(folder, tmp_path / "store")
    add_junk(folder, "something else")
    assert fingerprint(folder, tmp_path / "store") == before
    seen = {before}
    for number, file in enumerate(loaded_files(in_folder(folder)), 1):
        path = folder / file
        path.write_bytes(path.read_bytes() + b" ")
        seen.add(fingerprint(folder, tmp_path / "store"))
        assert len(seen) == number + 1, file


def test_a_folder_that_a_link_leads_to_counts(saved: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(saved["dense"], tmp_path / "model")
    (folder / "2_Dense").rename(tmp_path / "elsewhere")
    before = fingerprint(saved["dense"], tmp_path / "store")
    (folder / "2_Dense").symlink_to(tmp_path / "elsewhere")
    assert fingerprint(folder, tmp_path / "store") == before
    weights: Any = tmp_path / "elsewhere" / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    assert fingerprint(folder, tmp_path / "store") != before
