"""Which files of a model are loaded: those that decide a vector, and no others.

The rules are those of sentence-transformers 6 and transformers 5 (`sentence_transformers.base`,
`transformers.tokenization_utils_base`, `transformers.modeling_utils`), read off what they open. Checkpoints, optimizer
states, logs, evaluations, exports and READMEs lie beside the files of many models and are not among them.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from touchstone.errors import ModelError
from touchstone.files.writing import MAX_SETTINGS_BYTES, read_bytes
from touchstone.models.files.listing import ModelFiles

# The first of these that holds anything is a transformer's own settings.
SETTINGS_FILES = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# The settings that a module of a class has, and whether it has weights; all others are taken for transformers.
MODULE_FILES: Mapping[str, tuple[tuple[str, ...], bool]] = {
    **dict.fromkeys(("Pooling", "Normalize", "Dropout", "WordWeights", "BoW", "LogitScore"), (("config.json",), False)),
    **dict.fromkeys(("Dense", "LayerNorm", "WeightedLayerPooling"), (("config.json",), True)),
    "LSTM": (("lstm_config.json",), True),
    "CNN": (("cnn_config.json",), True),
    "StaticEmbedding": (("tokenizer.json",), True),
    "WordEmbeddings": (
        ("wordembedding_config.json", "whitespacetokenizer_config.json", "phrasetokenizer_config.json"), True
    ),
}  # fmt: skip
ROUTER_CLASSES = {"Router", "Asym"}
# Whole models, which a Router may have as modules: each has modules of its own.
MODEL_CLASSES = {"SentenceTransformer", "CrossEncoder", "SparseEncoder", "MultiVectorEncoder"}
LIBRARY_PREFIX = "sentence_transformers."
WRAPPER_SUFFIX = ".TransformersTokenizerWrapper"  # the tokenizer of words that has the files of any other
TOKEN_FILES = ("tokenizer_config.json", "chat_template.jinja")
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
OLD_TEMPLATE_FILE = "chat_template.json"  # read where there is one of the others
VOCABULARY_FILE = re.compile(
    r"vocab\.txt|(\w+_)?vocab(-\w+)?\.json|merges\.txt|bpe\.codes|dict\.txt|tekken\.json|.*\.(model|tiktoken|spm|tokenizer)|"
    r"(byte_maps|emoji|normalizer|word_shape|word_pronunciation)\.json"
)
# Classes to which tokenizer.json is all. Others read a vocabulary beside it too: those in Python, ESM's and PhoBERT's
# among them, and those with entities. One that is not known here is taken for such.
COMPLETE_TOKENIZER = re.compile(
    r"((Bart|Bert|CLIP|Camembert|Cohere|Deberta|DebertaV2|DistilBert|Electra|GPT2|GPTNeoX|Gemma|Llama|"
    r"Longformer|MBart|MPNet|MobileBert|Qwen2|RemBert|Roberta|T5|XLMRoberta|XLNet)Tokenizer(Fast)?|"
    r"PreTrainedTokenizerFast|TokenizersBackend)"
)
# Read first where the package mistral_common is there.
MISTRAL_FILE = re.compile(r"tekken\.json|tokenizer\.model\.v\w+")
# Where transformers tells apart more than one tokenizer file, by the version that first reads each.
VERSIONED_TOKENIZERS = "fast_tokenizer_files"


def loaded_files(files: ModelFiles, *, trusted: bool = False, variant: str | None = None) -> list[str]:
    """Return the names of all files of a model that decide what is loaded, sorted.

    Args:
        files: of the model.
        trusted: Python in the model's folder is run, so it is among them.
        variant: of the weights, as in ``model.fp16.safetensors``.

    Raises:
        ModelError: a file that names others cannot be read.
    """
    names = set(_Walk(files, variant).of_model(""))
    if trusted:
        classes = _own_classes(files, names)
        names |= python_of(files, {class_name.rpartition(".")[0] for class_name in classes if "--" not in class_name})
    return sorted(names)


@dataclass(frozen=True, slots=True)
class _Walk:
    """A walk through a model, from its modules to the files of each."""

    files: ModelFiles
    variant: str | None
    seen: set[tuple[str, str]] = field(default_factory=set)  # modules that may hold themselves are gone through once

    def of_model(self, folder: str) -> Iterator[str]:
        """Name the files of a whole model: its modules', or those of a bare transformer."""
        listed = join(folder, "modules.json")
        yield from _existing(self.files, folder, ("modules.json", "config_sentence_transformers.json"))
        modules = self.files.read(listed)
        if not isinstance(modules, list):
            yield from self.of_transformer(folder)
            return
        for module in modules:
            if not isinstance(module, dict) or not isinstance(module.get("path"), str):
                place = self.files.place
                raise ModelError(f"{place}: {listed} must name the type and path of each module; fetch it again")
            yield from self.of_class(str(module.get("type")), join(folder, module["path"]))

    def of_class(self, type_: str, folder: str) -> Iterator[str]:
        """Name the files of one module, by its class; of a publisher's own class all that its name could stand for."""
        name = type_.rpartition(".")[2]
        if (type_, folder) in self.seen:
            return
        self.seen.add((type_, folder))
        is_foreign = not type_.startswith(LIBRARY_PREFIX)
        if name in ROUTER_CLASSES:
            yield from self._of_router(folder)
        elif name in MODEL_CLASSES and not is_foreign:
            yield from self.of_model(folder)
        elif name in MODULE_FILES:
            yield from self._of_module(name, folder)
        if is_foreign or name not in {*ROUTER_CLASSES, *MODEL_CLASSES, *MODULE_FILES}:
            yield from self.of_transformer(folder)

    def _of_module(self, name: str, folder: str) -> Iterator[str]:
        settings, has_weights = MODULE_FILES[name]
        yield from _existing(self.files, folder, settings)
        if has_weights:
            yield from _existing(self.files, folder, ("model.safetensors", "pytorch_model.bin"))[:1]
        if name == "WordEmbeddings":
            tokenizer = self.files.table(join(folder, settings[0])).get("tokenizer_class")
            if str(tokenizer).endswith(WRAPPER_SUFFIX):
                yield from _existing(self.files, folder, ("config.json",))
                yield from _of_tokenizer(self.files, folder)

    def of_transformer(self, folder: str) -> Iterator[str]:
        """Name the files of a transformer of the library transformers: settings, weights, tokenizer and processor."""
        files = self.files
        yield from self._settings(folder)
        yield from _existing(files, folder, ("config.json",))
        yield from self._weights(folder)
        yield from _of_tokenizer(files, folder)
        others = _existing(files, folder, PROCESSOR_FILES)
        yield from _existing(files, folder, (*PROCESSOR_FILES, OLD_TEMPLATE_FILE)) if others else ()

    def _of_router(self, folder: str) -> Iterator[str]:
        for settings in _existing(self.files, folder, ("router_config.json", "config.json")):
            yield settings
            content = self.files.table(settings)
            types = content.get("types")
            for path, type_ in (types if isinstance(types, dict) else {}).items():
                yield from self.of_class(str(type_), join(folder, str(path)))
            if content:  # of an empty one the library reads the older
                return

    def _settings(self, folder: str) -> Iterator[str]:
        if not self.files.has("modules.json"):
            return  # of a bare transformer they are not read
        for name in _existing(self.files, folder, SETTINGS_FILES):
            yield name
            if self.files.table(name):
                return

    def _weights(self, folder: str) -> Iterator[str]:
        """Name the weights: safetensors or pickles, whole or in parts, the first there is, as transformers asks."""
        files = self.files
        if files.graph is not None:
            yield from files.graph
            return
        yield from _existing(files, folder, ("adapter_config.json",))
        if files.has(join(folder, "adapter_config.json")):
            yield from _existing(files, folder, ("adapter_model.safetensors", "adapter_model.bin"))[:1]
        for stem, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
            whole = ".".join([stem, *filter(None, [self.variant]), suffix])
            index = ".".join([stem, suffix, "index", *filter(None, [self.variant]), "json"])
            for name in _existing(files, folder, (whole, index))[:1]:
                yield name
                parts = files.table(name).get("weight_map") if name.endswith(".json") else None
                for part in sorted(set(map(str, parts.values()))) if isinstance(parts, dict) else ():
                    if not files.has(join(folder, part)):
                        raise ModelError(f"{files.place}: {name} names {part}, which is not there; fetch it again")
                    yield join(folder, part)
                return


def python_elsewhere(files: ModelFiles) -> dict[str, set[str]]:
    """Return the Python modules of other repositories that a model's settings name, by repository, as ``org/name``."""
    modules: dict[str, set[str]] = {}
    for class_name in _own_classes(files, loaded_files(files)):
        repository, separator, name = class_name.partition("--")
        if separator:
            modules.setdefault(repository, set()).add(name.rpartition(".")[0])
    return modules


def python_of(files: ModelFiles, modules: set[str]) -> set[str]:
    """Return the files of Python modules in a model's own folder, and of all that they import beside them."""
    names: set[str] = set()
    while modules:
        file_name = f"{modules.pop().replace('.', '/')}.py"
        path = None if file_name in names else files.find(file_name)
        if path is not None:
            names.add(file_name)
            source = read_bytes(path, ModelError, max_bytes=MAX_SETTINGS_BYTES)
            modules |= _imported_beside(source.decode(errors="replace"))
    return names


def join(folder: str, name: str) -> str:
    """Return the name of a file in a folder of a model."""
    return (PurePosixPath(folder) / name).as_posix()


def _of_tokenizer(files: ModelFiles, folder: str) -> Iterator[str]:
    settings = files.table(join(folder, "tokenizer_config.json"))
    yield from _existing(files, folder, TOKEN_FILES)
    templates = join(folder, "additional_chat_templates")
    yield from (join(templates, name) for name in files.names(templates) if name.endswith(".jinja"))
    if "added_tokens_decoder" not in settings:
        yield from _existing(files, folder, ("special_tokens_map.json", "added_tokens.json"))
    versions = [str(name) for name in settings.get(VERSIONED_TOKENIZERS) or ()]
    whole = _existing(files, folder, ("tokenizer.json", *versions))
    yield from whole
    kind = settings.get("tokenizer_class") or files.table(join(folder, "config.json")).get("tokenizer_class")
    is_complete = whole and COMPLETE_TOKENIZER.fullmatch(str(kind)) and "auto_map" not in settings
    pattern = MISTRAL_FILE if is_complete else VOCABULARY_FILE
    yield from (join(folder, name) for name in files.names(folder) if pattern.fullmatch(name))


def _existing(files: ModelFiles, folder: str, names: tuple[str, ...]) -> list[str]:
    return [join(folder, name) for name in names if files.has(join(folder, name))]


def _own_classes(files: ModelFiles, names: Iterable[str]) -> set[str]:
    """Return the Python classes that loaded files of settings name and the libraries do not have."""
    values: list[Any] = []
    for name in names:
        if PurePosixPath(name).name == "modules.json":
            content = files.read(name)
            modules = content if isinstance(content, list) else ()
            values += [module.get("type") for module in modules if isinstance(module, dict)]
        elif name.endswith("config.json"):
            settings = files.table(name)
            for classes in (settings.get("auto_map"), settings.get("types"), settings.get("tokenizer_class")):
                values += classes.values() if isinstance(classes, dict) else [classes]
    flat = [name for value in values for name in (value if isinstance(value, list) else [value])]
    return {name for name in flat if isinstance(name, str) and "." in name and not name.startswith(LIBRARY_PREFIX)}


def _imported_beside(source: str) -> set[str]:
    """Return the modules that Python code imports from its own folder."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two of what is nested too deeply
        return set()
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            modules |= {node.module} if node.module else {alias.name for alias in node.names}
    return modules
