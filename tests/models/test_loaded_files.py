"""A model is known by exactly the files that are loaded: those that a process opens, and no others."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import folders
from tests.architectures import make_tokenizer
from tests.encoders import save_tiny_cross_encoder, save_tiny_model
from touchstone.config.models import Model
from touchstone.config.specs import EncoderSpec
from touchstone.models.files.listing import in_folder
from touchstone.models.files.loaded import loaded_files, python_elsewhere
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
    (folder / "vocab.txt").write_text(OF_BERT)
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


def words_of_a_tokenizer(folder: Path) -> Path:
    import torch
    from sentence_transformers.sentence_transformer.modules import Pooling, WordEmbeddings
    from sentence_transformers.sentence_transformer.modules.tokenizer import TransformersTokenizerWrapper

    letters = make_tokenizer()
    words = WordEmbeddings(TransformersTokenizerWrapper(letters), torch.randn(len(letters), 8))
    return folders.save_modules(folder, words, Pooling(8))


def router_under_the_old_name(folder: Path) -> Path:
    """The library reads the older file where the newer one says nothing."""
    folders.save_router(folder)
    (folder / "router_config.json").rename(folder / "config.json")
    (folder / "router_config.json").write_text("{}")
    return folder


def router_of_whole_models(folder: Path) -> Path:
    folders.save_router(folder)
    inside = "document_0_Transformer"
    shutil.rmtree(folder / inside)
    in_a_subfolder(folder.with_name(f"{folder.name}-inside")).rename(folder / inside)
    settings = json.loads((folder / "router_config.json").read_text())
    settings["types"][inside] = "sentence_transformers.SentenceTransformer"
    settings["structure"]["document"].remove("document_1_Pooling")
    del settings["types"]["document_1_Pooling"]
    (folder / "router_config.json").write_text(json.dumps(settings))
    return folder


LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *LETTERS]
NUMBERED = json.dumps({piece: number for number, piece in enumerate(PIECES)})
OF_BERT = "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS])
RANKED = "\n".join(f"{letter} 1" for letter in LETTERS)
ENTITIES = json.dumps({"[PAD]": 0, "[UNK]": 1, "[MASK]": 2, "[MASK2]": 3})


def read_by(kind: str, **vocabulary: str) -> Build:
    """Return what saves a tiny model whose tokenizer reads more than the tokenizer.json beside."""

    def build(folder: Path) -> Path:
        said = json.loads((tiny(folder) / "tokenizer_config.json").read_text()) | {"tokenizer_class": kind}
        (folder / "tokenizer_config.json").write_text(json.dumps(said))
        for name, content in vocabulary.items():
            (folder / name.replace("__", ".")).write_text(content)
        return folder

    return build


def one_by_one(kind: str) -> Build:
    """Return what saves a tiny model with a tokenizer of pieces, whole in its tokenizer.json."""

    def build(folder: Path) -> Path:
        from tokenizers import Tokenizer
        from tokenizers.models import Unigram

        pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((letter, -2.0) for letter in LETTERS)]
        read_by(kind, spiece__model="none", sentencepiece__bpe__model="none", spm__model="none")(folder)
        Tokenizer(Unigram([*pieces, ("<mask>", 0.0)], unk_id=3)).save(str(folder / "tokenizer.json"))
        return folder

    return build


# All classes that loaded.py takes tokenizer.json for the whole of.
OF_PIECES = ("Camembert", "DebertaV2", "MBart", "RemBert", "T5", "XLMRoberta", "XLNet")
OF_WORDS = (
    *(f"{name}Tokenizer" for name in
      ("Bart", "Bert", "CLIP", "Cohere", "Deberta", "DistilBert", "Electra", "GPT2", "GPTNeoX", "Gemma", "Llama",
       "Longformer", "MPNet", "MobileBert", "Qwen2", "Roberta")),
    "BertTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend",
)  # fmt: skip
OWN = "from transformers import BertModel\nfrom .helper import x\nclass M(BertModel): pass\n"


def own_python(folder: Path) -> Path:
    """Its Python lies at the root, wherever the settings are that name it; one like it in their folder is not run."""
    inside = in_a_subfolder(folder) / "0_Transformer"
    config = json.loads((inside / "config.json").read_text()) | {"auto_map": {"AutoModel": "modeling.M"}}
    (inside / "config.json").write_text(json.dumps(config))
    for place in (folder, inside):
        (place / "modeling.py").write_text(OWN)
        (place / "helper.py").write_text("x = 1")
        (place / "unused.py").write_text("x = 1")
    return folder


def own_normalize(folder: Path) -> Path:
    """By its name it would be without weights, and it is a transformer."""
    modules = json.loads((tiny(folder) / "modules.json").read_text())
    modules[0]["type"] = "own.Normalize"
    (folder / "modules.json").write_text(json.dumps(modules))
    python = "from sentence_transformers.base.modules import Transformer\nclass Normalize(Transformer): pass\n"
    (folder / "own.py").write_text(python)
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
    "bag of words": folders.save_bag_of_words, "T5, no limit": folders.save_t5, "decoder": folders.save_decoder,
    "words of a tokenizer": words_of_a_tokenizer, "router, old name": router_under_the_old_name,
    "router of whole models": router_of_whole_models, "trusted python": own_python, "trusted normalize": own_normalize,
    "PhoBERT": read_by("PhobertTokenizer", vocab__txt=RANKED, bpe__codes="a b 1\n"),
    "ESM": read_by("EsmTokenizer", vocab__txt="\n".join(["<pad>", "<unk>", *LETTERS])),
    "LUKE": read_by("LukeTokenizer", entity_vocab__json=ENTITIES),
    "RoCBert": read_by("RoCBertTokenizer", vocab__txt=OF_BERT,
                       word_shape__json=NUMBERED, word_pronunciation__json=NUMBERED),
    **{kind: one_by_one(f"{kind}Tokenizer") for kind in OF_PIECES},
    **{kind: read_by(kind, vocab__txt="none", vocab__json="none", merges__txt="none") for kind in OF_WORDS},
}  # fmt: skip
CHILD = """
import sys
from sentence_transformers import CrossEncoder, SentenceTransformer
for folder in sys.argv[1:]:
    name = folder.rpartition("/")[2]
    kind = CrossEncoder if "cross" in name else SentenceTransformer
    kind(folder, device="cpu", local_files_only=True, trust_remote_code="trusted" in name)
"""
OUR_CHILD = """
import sys
from pathlib import Path
from touchstone.config.models import Model
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec
from touchstone.models.kinds import open_encoder
from tests.encoders import open_reranker
from touchstone.store.folder import Store
for folder in sys.argv[1:]:
    name, path = folder.rpartition("/")[2], Path(folder)
    cross, trusted = "cross" in name, "trusted" in name
    pooling = {} if cross or (path / "modules.json").exists() else {"pooling": "mean"}
    spec = (CrossEncoderSpec if cross else EncoderSpec)(path=path, trust_remote_code=trusted, **pooling)
    model, store = Model(alias="x", spec=spec, text="x"), Store(path.parent / "store")
    (open_reranker if cross else open_encoder)(model, "cpu", store)
"""
# Tokenizers that split no text into what a tiny BERT has vectors for: they are loaded, and not asked for vectors.
LOADED_ALONE = {"ESM", "RoCBert", *OF_PIECES, *OF_WORDS}


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
@pytest.mark.parametrize(("child", "leave"), [(CHILD, set()), (OUR_CHILD, LOADED_ALONE)], ids=["library", "ours"])
def test_files_hashed_are_the_files_opened(saved: dict[str, Path], child: str, leave: set[str], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-s", "500", "-e", "trace=open,openat,openat2", "-o", str(trace)]
    loaded = {name: folder for name, folder in saved.items() if name not in leave}
    done = subprocess.run(
        [*command, sys.executable, "-c", child, *map(str, loaded.values())],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"HF_MODULES_CACHE": str(tmp_path / "python")},
    )
    assert done.returncode == 0, done.stderr[-2000:]  # its last lines name the folder
    opened = {Path(line) for line in re.findall(r'open\w*\([^"\n]*"([^"]+)"[^\n]*\) = \d+', trace.read_text())}
    for name, folder in loaded.items():
        files = {
            path.relative_to(folder).as_posix() for path in opened if path.is_relative_to(folder) and path.is_file()
        }
        # The first also tells the kind of a model, where nothing loads it.
        told = {"README.md"} if child == CHILD else {"README.md", "config.json"}
        expected = set(loaded_files(in_folder(folder), trusted="trusted" in name))
        assert files - told == expected - told, name
        assert expected <= files, name


def fingerprint(folder: Path, store: Path) -> str:
    return identify(Model(alias="x", spec=EncoderSpec(path=folder), text="x"), Store(store)).fingerprint


@pytest.mark.parametrize(
    "name",
    ["tiny", "dense", "router", "sharded", "static", "words", "added tokens", "linked", "words of a tokenizer",
     "router, old name", "router of whole models", "PhoBERT", "LUKE", "RoCBert"],
)  # fmt: skip
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


def test_a_router_that_holds_itself_is_gone_through_once(tmp_path: Path) -> None:
    settings = {"types": {".": "sentence_transformers.base.modules.router.Router"}, "structure": {}}
    modules = [{"type": "sentence_transformers.base.modules.router.Router", "path": ""}]
    (tmp_path / "router_config.json").write_text(json.dumps(settings))
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    assert loaded_files(in_folder(tmp_path)) == ["modules.json", "router_config.json"]


def test_python_of_other_repositories_is_found_wherever_settings_name_it(tmp_path: Path) -> None:
    folder = in_a_subfolder(tmp_path / "model")
    config = folder / "0_Transformer" / "config.json"
    config.write_text(json.dumps({"auto_map": {"AutoModel": "org/one--modeling.M"}}))
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"type": "sentence_transformers.base.modules.router.Router", "path": "2_Router"})
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "2_Router").mkdir()
    (folder / "2_Router" / "router_config.json").write_text(json.dumps({"types": {"query": "org/two--routes.R"}}))
    assert python_elsewhere(in_folder(folder)) == {"org/one": {"modeling"}, "org/two": {"routes"}}


def test_settings_that_are_not_loaded_are_not_read_with_trust_either(tmp_path: Path) -> None:
    folder = own_python(tmp_path / "model")
    before = loaded_files(in_folder(folder), trusted=True)
    (folder / "0_Transformer" / "data_config.json").write_text("no JSON")
    (folder / "0_Transformer" / "other_config.json").write_text(json.dumps({"auto_map": {"AutoModel": "unused.M"}}))
    assert loaded_files(in_folder(folder), trusted=True) == before


@pytest.mark.parametrize(
    ("name", "file"),
    [("PhoBERT", "vocab.txt"), ("PhoBERT", "bpe.codes"), ("ESM", "vocab.txt"), ("LUKE", "entity_vocab.json"),
     ("RoCBert", "word_shape.json"), ("words of a tokenizer", "tokenizer.json"),
     ("router of whole models", "document_0_Transformer/0_Transformer/model.safetensors"),
     ("router, old name", "document_0_Transformer/model.safetensors")],
)  # fmt: skip
def test_what_a_library_reads_beside_the_usual_counts(
    saved: dict[str, Path], name: str, file: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(saved[name], tmp_path / "model")
    before = fingerprint(folder, tmp_path / "store")
    (folder / file).write_bytes((folder / file).read_bytes() + b" ")
    assert fingerprint(folder, tmp_path / "store") != before
