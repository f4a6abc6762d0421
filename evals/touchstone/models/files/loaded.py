"""Which files of a model are loaded: those that decide a vector, and no others.

The rules are those of sentence-transformers 6 and transformers 5 (`sentence_transformers.base`,
`transformers.tokenization_utils_base`, `transformers.modeling_utils`), read off what they open. Checkpoints, optimizer
states, logs, evaluations, exports and READMEs lie beside the files of many models and are not among them.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from touchstone.errors import ModelError
from touchstone.models.files.listing import ModelFiles

# The first of these that holds anything is a transformer's own settings.
SETTINGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# The settings that a module of a class has, and whether it has weights; all others are taken for transformers.
MODULES: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "Pooling": (("config.json",), False),
    "Normalize": (("config.json",), False),
    "Dropout": (("config.json",), False),
    "WordWeights": (("config.json",), False),
    "BoW": (("config.json",), False),
    "LogitScore": (("config.json",), False),
    "Dense": (("config.json",), True),
    "LayerNorm": (("config.json",), True),
    "WeightedLayerPooling": (("config.json",), True),
    "LSTM": (("lstm_config.json",), True),
    "CNN": (("cnn_config.json",), True),
    "StaticEmbedding": (("tokenizer.json",), True),
    "WordEmbeddings": (
        ("wordembedding_config.json", "whitespacetokenizer_config.json", "phrasetokenizer_config.json"), True
    ),
}  # fmt: skip
ROUTERS = {"Router", "Asym"}
OF_TOKENS = ("tokenizer_config.json", "chat_template.jinja")
OF_OTHER_INPUTS = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
OLD_TEMPLATE = "chat_template.json"  # read where there is one of the others
VOCABULARY = re.compile(r"vocab\.(txt|json)|merges\.txt|tekken\.json|.*\.model|.*\.tiktoken|bpe\.codes|dict\.txt")
# Where transformers tells apart more than one tokenizer file, by the version that first reads each.
VERSIONED = "fast_tokenizer_files"


def loaded_files(files: ModelFiles, *, trusted: bool = False, variant: str | None = None) -> list[str]:
    """Return the names of all files of a model that decide what is loaded, sorted.

    Args:
        files: of the model.
        trusted: Python in the model's folder is run, so it is among them.
        variant: of the weights, as in ``model.fp16.safetensors``.

    Raises:
        ModelError: a file that names others cannot be read.
    """
    walk = _Walk(files, trusted, variant)
    found = set(_existing(files, "", ("modules.json", "config_sentence_transformers.json")))
    modules = files.read("modules.json")
    if not isinstance(modules, list):
        return sorted(found.union(walk.of_transformer("")))
    for module in modules:
        if not isinstance(module, dict) or not isinstance(module.get("path"), str):
            raise ModelError(f"{files.place}: modules.json must name the type and path of each module; fetch it again")
        found.update(walk.of_class(str(module.get("type")), module["path"]))
    return sorted(found)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Goes through a model from its modules to the files of each."""

    files: ModelFiles
    trusted: bool
    variant: str | None

    def of_class(self, type_: str, folder: str) -> Iterator[str]:
        """Name the files of one module, by its class."""
        name = type_.rpartition(".")[2]
        if self.trusted and not type_.startswith("sentence_transformers."):
            yield from python_of(self.files, {type_.rpartition(".")[0]})
        if name in ROUTERS:
            yield from self._of_router(folder)
        elif name in MODULES:
            settings, has_weights = MODULES[name]
            yield from _existing(self.files, folder, settings)
            if has_weights:
                yield from _existing(self.files, folder, ("model.safetensors", "pytorch_model.bin"))[:1]
        else:
            yield from self.of_transformer(folder)

    def of_transformer(self, folder: str) -> Iterator[str]:
        """Name the files of a transformer of the library transformers: settings, weights, tokenizer and processor."""
        files = self.files
        yield from self._settings(folder)
        yield from _existing(files, folder, ("config.json",))
        yield from self._weights(folder)
        yield from _of_tokenizer(files, folder)
        others = _existing(files, folder, OF_OTHER_INPUTS)
        yield from _existing(files, folder, (*OF_OTHER_INPUTS, OLD_TEMPLATE)) if others else ()
        if self.trusted:
            own = {one for name in files.names(folder) if name.endswith("config.json")
                   for one in _classes(files, join(folder, name)) if "--" not in one}  # fmt: skip
            yield from python_of(files, {one.rpartition(".")[0] for one in own}, folder)

    def _of_router(self, folder: str) -> Iterator[str]:
        for settings in _existing(self.files, folder, ("router_config.json", "config.json"))[:1]:
            yield settings
            types = self.files.table(settings).get("types")
            for path, type_ in (types if isinstance(types, dict) else {}).items():
                yield from self.of_class(str(type_), join(folder, str(path)))

    def _settings(self, folder: str) -> Iterator[str]:
        if not self.files.has("modules.json"):
            return  # of a bare transformer they are not read
        for name in _existing(self.files, folder, SETTINGS):
            yield name
            if self.files.table(name):
                return

    def _weights(self, folder: str) -> Iterator[str]:
        """Name the weights: safetensors or pickles, whole or in parts, the first there is, as transformers asks."""
        files = self.files
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
    """Return the modules of Python that a model's settings name of other repositories, by these, as ``org/name``."""
    settings = [name for name in loaded_files(files, trusted=True) if name.endswith("config.json")]
    classes = [one for name in settings for one in _classes(files, name)]
    modules = files.read("modules.json")
    classes += [str(one.get("type")) for one in modules if isinstance(one, dict)] if isinstance(modules, list) else []
    found: dict[str, set[str]] = {}
    for repository, separator, name in (one.partition("--") for one in classes):
        if separator:
            found.setdefault(repository, set()).add(name.rpartition(".")[0])
    return found


def python_of(files: ModelFiles, modules: set[str], folder: str = "") -> set[str]:
    """Return the files of Python modules in a folder of a model, and of all that they import beside them."""
    found: set[str] = set()
    while modules:
        name = join(folder, f"{modules.pop().replace('.', '/')}.py")
        path = None if name in found else files.find(name)
        if path is not None:
            found.add(name)
            modules |= _imported_beside(path.read_text(encoding="utf-8", errors="replace"))
    return found


def join(folder: str, name: str) -> str:
    """Return the name of a file in a folder of a model."""
    return (PurePosixPath(folder) / name).as_posix()


def _of_tokenizer(files: ModelFiles, folder: str) -> Iterator[str]:
    settings = files.table(join(folder, "tokenizer_config.json"))
    yield from _existing(files, folder, OF_TOKENS)
    templates = join(folder, "additional_chat_templates")
    yield from (join(templates, name) for name in files.names(templates) if name.endswith(".jinja"))
    if "added_tokens_decoder" not in settings:
        yield from _existing(files, folder, ("special_tokens_map.json", "added_tokens.json"))
    versions = [str(name) for name in settings.get(VERSIONED) or ()]
    whole = _existing(files, folder, ("tokenizer.json", *versions))
    yield from whole
    if not whole:
        yield from (join(folder, name) for name in files.names(folder) if VOCABULARY.fullmatch(name))


def _existing(files: ModelFiles, folder: str, names: tuple[str, ...]) -> list[str]:
    return [join(folder, name) for name in names if files.has(join(folder, name))]


def _classes(files: ModelFiles, name: str) -> list[str]:
    """Return the Python classes that a file of settings names."""
    named = files.table(name).get("auto_map") or {}
    found: list[Any] = list(named.values()) if isinstance(named, dict) else [named]
    return [str(one) for each in found for one in (each if isinstance(each, list) else [each]) if one]


def _imported_beside(source: str) -> set[str]:
    """Return the modules that Python code imports from its own folder."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            found |= {node.module} if node.module else {alias.name for alias in node.names}
    return found
