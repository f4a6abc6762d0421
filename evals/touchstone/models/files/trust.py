"""What a model's own files may make libraries do without trust: no Python of theirs runs, and nothing is unpickled."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

from touchstone.errors import ModelError
from touchstone.models.files.detection import CROSS, detect
from touchstone.models.files.listing import ModelFiles
from touchstone.models.files.loaded import loaded_files

# What libraries read settings from, in any folder. Vocabularies are not among them: their keys are words.
SETTINGS_FILE = re.compile(
    r"(modules|config|config_sentence_transformers|special_tokens_map|"
    r"(sentence_.+|router|cnn|lstm|wordembedding|\w*tokenizer|\w*processor|generation|adapter)_config)\.json"
)
TRANSFORMER_FILE = re.compile(r"sentence_.+_config\.json")  # the arguments of sentence-transformers' Transformer
# Of lower case are the modules that a module of the library has imported, `pickle` and `torch` among them.
LIBRARY_CLASS = re.compile(r"sentence_transformers\.(\w+\.)*[A-Z]\w*")
# Any other class would be loaded in the place of a tokenizer too, a whole model among them.
TOKENIZER_CLASS = re.compile(r"sentence_transformers\.(\w+\.)*\w*Tokenizer(Wrapper)?")
# Without trust, transformers takes for these in silence the class that it would take without `auto_map`, if it has one:
# other weights, or other tokens. The other names of `auto_map` are those of classes that no kind of model asks for.
AUTO_CLASSES = {"AutoConfig", "AutoModel", "AutoTokenizer", "AutoProcessor"}
AUTO_SCORERS = {"AutoModelForSequenceClassification", "AutoModelForCausalLM"}

BAD_PICKLE = "has a pickle that is damaged or holds more than weights, and is not run; give its weights as safetensors"
PICKLE_REASON = "which would open pickled weights, and so run what is in them"
IMPORT_REASON = "which would import and run what it names"
KERNEL_REASON = "which would fetch and run kernels of that name"
PLACE_REASON = "which would take files from another place"
UNKNOWN_REASON = "which is not known to be harmless"
EMPTY_VALUE = "null|false"
KERNEL = r'(null|"(eager|sdpa|flash_attention_[23]|flex_attention|batched_mm|grouped_mm)")'
# Keys, wherever they stand; the values, in JSON, that are harmless; and what others would do.
CHECKED_KEYS = (
    ("weights_only|use_safetensors", "null|true", PICKLE_REASON),
    ("transformers_weights", r'null|".+\.safetensors(\.index\.json)?"', PICKLE_REASON),
    ("_?(attn|experts)_implementation(_internal)?", rf'{KERNEL}|\{{("\w*": {KERNEL}(, )?)*\}}', KERNEL_REASON),
    ("use_kernels|kernel_config|allow_all_kernels", EMPTY_VALUE, KERNEL_REASON),
    # "gelu" in the configuration of an architecture is a row of transformers' own table.
    ("activation_function|activation_fn|sbert_ce_default_activation_function",
     r'(?!").*|"([^."]*|torch\.nn\.(\w+\.)*[A-Z]\w*)"', IMPORT_REASON),
    ("trust_remote_code|megatron_config", EMPTY_VALUE, IMPORT_REASON),
    ("parent_library", r'null|"transformers\..*"', IMPORT_REASON),
    ("configuration_files|_configuration_file|gguf_file", EMPTY_VALUE, PLACE_REASON),
)  # fmt: skip
# What `from_pretrained` of a model may be given: its other arguments choose files, places, devices and kernels.
MODEL_ARGUMENTS = {"model_args", "model_kwargs"}
HARMLESS_ARGUMENTS = {
    "dtype", "torch_dtype", "add_pooling_layer", "attn_implementation", "experts_implementation", "low_cpu_mem_usage",
    "weights_only", "use_safetensors", "trust_remote_code",
}  # fmt: skip
# What no other dictionary of arguments may say: `from_pretrained` of a configuration or a tokenizer looks there.
ARGUMENTS_KEY = re.compile(r".+_(args|kwargs)")
PLACE_KEY = re.compile(
    r"_.*|.*_(files?|dir|folder|path)|config|state_dict|(code_)?revision|subfolder|local_files_only|force_download|"
    r"(use_auth_)?token|proxies|variant|key_mapping|quantization_config|device_map|adapter_kwargs|mecab_option"
)


def check_no_code(files: ModelFiles) -> None:
    """Refuse a model whose files would run Python of their own, or what they name; for one that is not trusted.

    Raises:
        ModelError: naming the file and what it says.
    """
    if needs_trust(files):
        raise ModelError(ask_for_trust(files.place))
    for name, keys, value in _settings(files):
        why = _why_not(PurePosixPath(name).name, keys, value)
        if why is not None:
            raise ModelError(
                f"{files.place}: {name} says {'.'.join(keys)} = {json.dumps(value)}, {why}; "
                "remove it, or set trust_remote_code = true"
            )


def needs_trust(files: ModelFiles) -> bool:
    """Return True if a model has classes that no library knows, in Python that its publisher wrote."""
    classes = AUTO_CLASSES | AUTO_SCORERS if detect(files) == CROSS else AUTO_CLASSES
    return any(_is_own_class(PurePosixPath(name).name, keys, value, classes) for name, keys, value in _settings(files))


def ask_for_trust(place: str) -> str:
    """Return the error about a model that needs trust."""
    return f"{place} needs Python that its publisher wrote; read it, and set trust_remote_code = true to run it"


@contextmanager
def weights_only() -> Iterator[None]:
    """Make torch open nothing but tensors meanwhile, even where libraries ask for more.

    torch reads these at each `torch.load`; transformers and sentence-transformers unpickle by nothing else.
    """
    switches = {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "0"}
    previous = {name: os.environ.get(name) for name in switches}
    os.environ.update(switches)
    try:
        yield
    finally:
        for name, value in previous.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _why_not(file: str, keys: Sequence[str], value: Any) -> str | None:
    """Return what a setting would do, None for a harmless one."""
    *parents, key = keys
    for pattern, harmless, why in CHECKED_KEYS:
        if re.fullmatch(pattern, key):
            return None if re.fullmatch(harmless, json.dumps(value)) else why
    if parents and parents[-1] in MODEL_ARGUMENTS and key not in HARMLESS_ARGUMENTS:
        return UNKNOWN_REASON
    in_arguments = TRANSFORMER_FILE.fullmatch(file) or any(ARGUMENTS_KEY.fullmatch(parent) for parent in parents)
    return PLACE_REASON if in_arguments and PLACE_KEY.fullmatch(key) and value not in (None, False) else None


def _is_own_class(file: str, keys: Sequence[str], value: Any, classes: set[str]) -> bool:
    key = keys[-1]
    if key == "auto_map":
        # Old tokenizers have a list of the two classes of one.
        return bool(classes & value.keys()) if isinstance(value, dict) else bool(value)
    module = (file == "modules.json" and key == "type") or keys[-2:-1] == ("types",)
    if key == "tokenizer_class" and "." in str(value):
        return not TOKENIZER_CLASS.fullmatch(str(value))
    return module and not LIBRARY_CLASS.fullmatch(str(value))


def _settings(files: ModelFiles) -> Iterator[tuple[str, tuple[str, ...], Any]]:
    """Yield each file of settings with each of its keys, those above it first, and its value."""
    for name in loaded_files(files):
        if SETTINGS_FILE.fullmatch(PurePosixPath(name).name):
            for keys, value in _walk(files.read(name), ()):
                yield name, keys, value


def _walk(content: Any, parents: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(content, list):
        for item in content:
            yield from _walk(item, parents)
    elif isinstance(content, dict):
        for key, value in content.items():
            yield (*parents, key), value
            yield from _walk(value, (*parents, key))
