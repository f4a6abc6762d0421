"""Which files of a model are loaded: those that decide a vector, and no others.

The rules are those of sentence-transformers 6 and transformers 5 (`sentence_transformers.base`,
`transformers.tokenization_utils_base`, `transformers.modeling_utils`), read off what they open. Checkpoints, optimizer
states, logs, evaluations, exports and READMEs lie beside the files of many models and are not among them.
"""

import ast
import re
from collections.abc import Iterator, Mapping
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
    found = set(_existing(files, "", ("modules.json", "config_sentence_transformers.json")))
    modules = files.read("modules.json")
    if isinstance(modules, list):
        for module in modules:
            found.update(_of_module(files, module, trusted, variant))
    else:
        found.update(_of_transformer(files, "", trusted, variant))
    return sorted(found)


def python_elsewhere(files: ModelFiles) -> dict[str, set[str]]:
    """Return the modules of Python that a model's settings name of other repositories, by these, as ``org/name``."""
    classes = [one for name in files.names("") if name.endswith("config.json") for one in _classes(files, name)]
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


def _of_module(files: ModelFiles, module: Any, trusted: bool, variant: str | None) -> set[str]:
    if not isinstance(module, dict) or not isinstance(module.get("path"), str):
        raise ModelError(f"{files.place}: modules.json must name each module's type and path; fetch the model again")
    return set(_of_class(files, str(module.get("type")), module["path"], trusted, variant))


def _of_class(files: ModelFiles, type_: str, folder: str, trusted: bool, variant: str | None) -> Iterator[str]:
    """Name the files of one module, by its class."""
    name = type_.rpartition(".")[2]
    if trusted and not type_.startswith("sentence_transformers."):
        yield from python_of(files, {type_.rpartition(".")[0]})
    if name in ROUTERS:
        yield from _of_router(files, folder, trusted, variant)
    elif name in MODULES:
        settings, has_weights = MODULES[name]
        yield from _existing(files, folder, settings)
        if has_weights:
            yield from _existing(files, folder, ("model.safetensors", "pytorch_model.bin"))[:1]
    else:
        yield from _of_transformer(files, folder, trusted, variant)


def _of_router(files: ModelFiles, folder: str, trusted: bool, variant: str | None) -> Iterator[str]:
    (settings, *_) = *_existing(files, folder, ("router_config.json", "config.json"))[:1], ""
    yield from {settings} - {""}
    types = files.table(settings).get("types") if settings else None
    for path, type_ in (types if isinstance(types, dict) else {}).items():
        yield from _of_class(files, str(type_), join(folder, str(path)), trusted, variant)


def _of_transformer(files: ModelFiles, folder: str, trusted: bool, variant: str | None) -> Iterator[str]:
    """Name the files of a transformer of the library transformers: settings, weights, tokenizer and processor."""
    yield from _of_settings(files, folder)
    yield from _existing(files, folder, ("config.json",))
    yield from _weights(files, folder, variant)
    yield from _of_tokenizer(files, folder)
    others = _existing(files, folder, OF_OTHER_INPUTS)
    yield from _existing(files, folder, (*OF_OTHER_INPUTS, OLD_TEMPLATE)) if others else ()
    if trusted:
        own = {one for name in files.names(folder) if name.endswith("config.json")
               for one in _classes(files, join(folder, name)) if "--" not in one}  # fmt: skip
        yield from python_of(files, {one.rpartition(".")[0] for one in own}, folder)


def _of_settings(files: ModelFiles, folder: str) -> Iterator[str]:
    if files.find("modules.json") is None:
        return  # of a bare transformer they are not read
    for name in SETTINGS:
        if files.has(join(folder, name)):
            yield join(folder, name)
            if files.table(join(folder, name)):
                return


def _weights(files: ModelFiles, folder: str, variant: str | None) -> Iterator[str]:
    """Name the weights: of safetensors and pickles, whole and in parts, the first there is, as transformers asks."""
    adapter = _existing(files, folder, ("adapter_config.json",))
    if adapter:
        yield from adapter
        yield from _existing(files, folder, ("adapter_model.safetensors", "adapter_model.bin"))[:1]
    for stem, suffix in (("model", "safetensors"), ("pytorch_model", "bin")):
        whole = ".".join([stem, *filter(None, [variant]), suffix])
        index = ".".join([stem, suffix, "index", *filter(None, [variant]), "json"])
        if files.has(join(folder, whole)):
            yield join(folder, whole)
            return
        if files.has(join(folder, index)):
            yield join(folder, index)
            parts = files.table(join(folder, index)).get("weight_map")
            for part in sorted(set(map(str, parts.values()))) if isinstance(parts, dict) else ():
                if files.find(join(folder, part)) is None:
                    raise ModelError(f"{files.place}: {index} names {part}, which is not there; fetch the model again")
                yield join(folder, part)
            return


def _of_tokenizer(files: ModelFiles, folder: str) -> Iterator[str]:
    settings = files.table(join(folder, "tokenizer_config.json"))
    yield from _existing(files, folder, OF_TOKENS)
    yield from (join(folder, f"additional_chat_templates/{name}")
                for name in files.names(join(folder, "additional_chat_templates")) if name.endswith(".jinja"))  # fmt: skip
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


