"""Fingerprint of a model in memory: a hash over its weights, its modules and all that is set on them.

Every object is taken apart as `pickle` would: what that cannot do, such as a hook, a lambda or code of a notebook, is
noted, for then two models cannot be told apart.
"""

import hashlib
import json
import sys
import types
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from touchstone.own_code import is_installed

if TYPE_CHECKING:
    import torch

# What a call leaves behind, what only describes a model or its source, and whether it is in training: no score depends
# on these.
NON_SETTINGS = {
    "training", "model_card_data", "_model_card_text", "_model_card_vars", "_similarity", "_similarity_pairwise",
    "deprecation_warnings", "warnings_issued", "name_or_path", "_name_or_path", "_commit_hash", "revision",
    "vocab_file", "merges_file", "tokenizer_file",
}  # fmt: skip
# Keys of a tokenizer that each call sets anew.
CALL_KEYS = ("truncation", "padding")
# torch's tables of the hooks that every module calls.
HOOK_TABLES = ("_global_forward_hooks", "_global_forward_pre_hooks")
PLAIN_TYPES = (type(None), bool, int, float, complex, str, bytes)
CODE_TYPES = (type, types.FunctionType, types.BuiltinFunctionType)


def take_fingerprint(loaded: Any) -> tuple[str, tuple[str, ...]]:
    """Return the hash of a model in memory, 64 hexadecimal digits, and what of it could not be taken apart.

    Two models with one hash and nothing of the second compute the same, by the same versions of all libraries.
    """
    import torch

    walk = _Walk()
    walk.add(loaded, "model")
    for name in HOOK_TABLES:
        walk.add(getattr(torch.nn.modules.module, name, {}), name)
    return walk.sha.hexdigest(), tuple(walk.unknown)


class _Walk:
    """One walk through an object; each object inside is visited once, and kept so that no other gets its number."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()
        self.unknown: list[str] = []
        self._seen: dict[int, tuple[int, Any]] = {}
        self._known_code: dict[int, Any] = {}

    def add(self, value: Any, path: str) -> None:
        """Take in a value; ``path`` leads to it."""
        if type(value) in PLAIN_TYPES:
            self._write(f"{type(value).__name__} {value!r}")
        elif id(value) in self._seen:
            self._write(f"again {self._seen[id(value)][0]}")
        else:
            self._seen[id(value)] = (len(self._seen), value)
            self._take_apart(value, path)

    def _write(self, text: str) -> None:
        self.sha.update(f"{len(text)} {text}\n".encode("utf-8", "surrogatepass"))

    def _take_apart(self, value: Any, path: str) -> None:
        kind = type(value)
        if isinstance(value, CODE_TYPES):
            self._add_code(value, path)
        elif (tensor := _as_tensor(value)) is not None:
            self._add_tensor(tensor, path)
        elif kind in (list, tuple):
            self._write(f"{kind.__name__} {len(value)}")
            self._add_all(value, path)
        elif kind is dict:
            self._write("dict")
            # A key may be called anything, a prompt's too; a tokenizer keeps its settings in one.
            self._add_items(value.items(), path, NON_SETTINGS if path.endswith(".init_kwargs") else frozenset())
        elif kind in (set, frozenset):
            self._write(f"{kind.__name__} {len(value)}")
            self._add_all(sorted(value, key=repr), path)
        elif (kind.__module__.partition(".")[0], kind.__name__) == ("tokenizers", "Tokenizer"):
            settings = json.loads(value.to_str())
            self._write(json.dumps({name: settings[name] for name in settings if name not in CALL_KEYS}))
        else:
            self._add_object(value, path)

    def _add_object(self, value: Any, path: str) -> None:
        """Take in any other object: how it would be made again, and its state."""
        try:
            recipe = value.__reduce_ex__(4)
        except Exception as error:  # a lock, a handle, or whatever else cannot be written down
            self._give_up(path, value, error)
            return
        self._add_code(type(value), path)
        if isinstance(recipe, str):
            self._write(f"name {recipe}")
            return
        make, arguments, state, items, pairs = (*recipe, None, None, None)[:5]
        self._look_for_more(value, state, path)
        self.add(make, path)
        self.add(arguments, path)
        for settings in state if isinstance(state, tuple) else (state,):  # one with slots has two of them
            if type(settings) is dict:
                self._add_items(settings.items(), path, NON_SETTINGS)
            else:
                self.add(settings, path)
        self._add_all(items or (), path)
        self._add_items(pairs or (), path)

    def _look_for_more(self, value: Any, state: Any, path: str) -> None:
        """Note what an object leaves out of its state, such as what it would read from a file again."""
        for name, attribute in getattr(value, "__dict__", {}).items() if isinstance(state, dict) else ():
            if name not in NON_SETTINGS and state.get(name) is not attribute:
                self.unknown.append(f"{path}.{name}: a {type(attribute).__name__} that is left out")

    def _add_all(self, values: Iterable[Any], path: str) -> None:
        for number, value in enumerate(values):
            self.add(value, f"{path}[{number}]")

    def _add_items(self, pairs: Iterable[tuple[Any, Any]], path: str, without: Set[str] = frozenset()) -> None:
        """Take in names or keys and what they stand for, in their order, but for some."""
        for name, value in pairs:
            if not (isinstance(name, str) and name in without):
                self.add(name, path)
                self.add(value, f"{path}.{name}")
        self._write("end")

    def _add_code(self, code: Any, path: str) -> None:
        """Take in a class or a function by its name, which says all where it is of an installed package."""
        self._write(f"code {code.__module__}.{code.__qualname__}")
        if id(code) in self._known_code:
            return
        self._known_code[id(code)] = code
        for name, method in _functions(code):
            self._write(f"{name} is {method.__module__}.{method.__qualname__}")
            if not _is_of_a_package(method) or (method.__closure__ and method is code):
                self.unknown.append(f"{path}: {method.__module__}.{method.__qualname__}")
        if isinstance(code, type) and not _is_module_installed(code.__module__):
            self.unknown.append(f"{path}: {code.__module__}.{code.__qualname__}")

    def _add_tensor(self, tensor: "torch.Tensor", path: str) -> None:
        import torch

        self._write(f"{tensor.dtype} {tuple(tensor.shape)}")
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer):  # which may hold more than numbers
            self.unknown.append(f"{path}: a {type(tensor).__name__}")
        try:
            values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            self.sha.update(values.numpy().data)
        except Exception as error:  # of a meta device, sparse, or of a library's own kind
            self._give_up(path, tensor, error)

    def _give_up(self, path: str, value: Any, error: Exception) -> None:
        self.unknown.append(f"{path}: a {type(value).__name__}: {error}")


def _as_tensor(value: Any) -> "torch.Tensor | None":
    """Return an array of torch or numpy as a tensor; None for anything else."""
    import numpy as np
    import torch

    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return torch.from_numpy(np.ascontiguousarray(value))
    return value if isinstance(value, torch.Tensor) else None


def _functions(code: Any) -> Iterator[tuple[str, types.FunctionType]]:
    """Yield a function, or the methods that a class has now, patched ones too."""
    if isinstance(code, types.FunctionType):
        yield "function", code
    for parent in code.__mro__ if isinstance(code, type) else ():
        for name, member in vars(parent).items():
            method = getattr(member, "fget" if isinstance(member, property) else "__func__", member)
            if isinstance(method, types.FunctionType):
                yield f"{parent.__qualname__}.{name}", method


def _is_of_a_package(method: types.FunctionType) -> bool:
    """Return True if a function was written in an installed package; dataclasses write some in no file."""
    file = method.__code__.co_filename
    return (file.startswith(("<string>", "<frozen ")) or is_installed(Path(file))) and _is_module_installed(
        method.__module__
    )


def _is_module_installed(name: str | None) -> bool:
    module = sys.modules.get(name or "")
    if module is None or name == "__main__":
        return False
    file = getattr(module, "__file__", None)
    return file is None or is_installed(Path(file))  # one without a file is built in
