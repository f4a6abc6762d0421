"""A file made hostile: wrong bytes anywhere, or wrong values in a shape that is right.

Everything is drawn from one `random.Random`, so a seed repeats an input, and hypothesis can draw instead of it.
"""

import ast
import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import PurePosixPath
from random import Random
from typing import Any

import tomli_w
import yaml

from tests.fuzz import arrays, hostile

# The files of one input, by their path inside its folder.
Files = Mapping[str, bytes]
RAW = re.compile(r"""['"]@RAW(\d+)@['"]""")
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
QUOTED = re.compile(rb'"[^"\n]*"' + rb"|'[^'\n]*'")
LARGEST = 4 << 20
RARE = 0.03
# A text that is longer, or has more aliases than that, is changed as a text alone: it was made to be heavy.
LONG, LAUGHS = 1 << 18, 20
# How many changes of values keep their type.
GENTLE = 0.5


def mutate(files: Files, others: Sequence[Files], chosen: Random) -> dict[str, bytes]:
    """Change one file of an input, seldom two, or which files there are.

    Args:
        files: the input.
        others: inputs of the same kind, to take parts of.
        chosen: decides.
    """
    changed = dict(files)
    for _ in range(1 if chosen.random() < 0.8 else 2):
        name = chosen.choice(sorted(changed))
        if len(changed) > 1 and chosen.random() < RARE:
            changed.pop(name)
        elif chosen.random() < RARE / 3:
            changed[name] = b""
        else:
            other = chosen.choice(list(others))
            changed[name] = change(name, changed[name], other.get(name, b"".join(other.values())), chosen)
    return changed


def change(name: str, content: bytes, other: bytes, chosen: Random) -> bytes:
    """Change a file by what its name says that it is, or by its bytes alone.

    Args:
        name: of the file.
        content: of it.
        other: of another file of that kind.
        chosen: decides.
    """
    structural = _STRUCTURAL.get(PurePosixPath(name).suffix)
    roll = chosen.random()
    if structural is not None and roll < 0.7:
        return structural(content, chosen)[:LARGEST]
    if roll < 0.8 and arrays.is_text(content):
        return change_tokens(content, chosen)
    for _ in range(chosen.choice((1, 1, 1, 2, 4))):
        content = change_bytes(content, other, chosen)
    return content[:LARGEST]


def change_bytes(content: bytes, other: bytes, chosen: Random) -> bytes:
    """Change bytes, whatever they mean."""
    at, end = sorted(chosen.randrange(len(content) + 1) for _ in range(2))
    before, within, after = content[:at], content[at:end], content[end:]
    match chosen.randrange(9):
        case 0 if content:
            place = min(at, len(content) - 1)
            changed = content[:place] + bytes([content[place] ^ 1 << chosen.randrange(8)]) + content[place + 1 :]
        case 1:
            changed = before
        case 2:
            changed = before + after
        case 3:
            changed = before + within * chosen.choice((2, 3, 50)) + after
        case 4:
            changed = before + other[chosen.randrange(len(other) + 1) :]
        case 5:
            changed = before + bytes(chosen.randrange(256) for _ in range(chosen.choice((1, 4, 40)))) + after
        case 6:
            changed = _encode(content, chosen)
        case _:
            changed = before + chosen.choice(hostile.BYTES) + within + after
    return changed


def _encode(content: bytes, chosen: Random) -> bytes:
    """Write a text in another encoding, or with other ends of lines."""
    text = content.decode("utf-8", "surrogateescape")
    encoding = chosen.choice(("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "utf-7", "\r\n", "\r", "\u2028"))
    if encoding.isspace():
        return text.replace("\n", encoding).encode("utf-8", "surrogateescape")
    return text.encode(encoding, "replace")


def change_tokens(content: bytes, chosen: Random) -> bytes:
    """Put another value in the place of a number or a quoted text."""
    found = list((QUOTED if chosen.random() < 0.5 else NUMBER).finditer(content))
    if not found:
        return content + chosen.choice(hostile.BYTES)
    place = chosen.choice(found)
    if chosen.random() < 0.5:
        token = json.dumps(chosen.choice(hostile.TEXTS), ensure_ascii=chosen.random() < 0.5)
    else:
        token = chosen.choice(hostile.HUGE_JSON if chosen.random() < RARE else hostile.YAML)
    return content[: place.start()] + token.encode("utf-8", "surrogatepass") + content[place.end() :]


class Tree:
    """Plain data that is changed; ``raws`` stand in it for what its format spells but no data holds."""

    def __init__(self, data: Any, tokens: Sequence[str], huge: Sequence[str], chosen: Random) -> None:
        self.data = [data]
        self.raws: list[str] = []
        self._tokens, self._huge, self._chosen = tokens, huge, chosen

    def change(self) -> None:
        """Change a value, or a few."""
        for _ in range(self._chosen.choice((1, 1, 1, 2, 3))):
            self._change_one()

    def _change_one(self) -> None:
        chosen = self._chosen
        holder, key = chosen.choice(_places(self.data))
        value, roll = holder[key], chosen.random()
        if chosen.random() < GENTLE:
            self._change_gently(holder, key, value)
        elif isinstance(holder, dict) and roll < 0.25:
            _rename(holder, key, chosen)
        elif isinstance(holder, dict) and roll < 0.3:
            holder[key] = value
            text = json.dumps(holder, default=str)
            self._replace(holder, f"{text[:-1]}, {json.dumps(key)}: {chosen.choice(self._tokens)}}}")
        elif roll < 0.55:
            holder[key] = chosen.choice(hostile.TEXTS)
        elif roll < 0.8:
            holder[key] = self._raw(chosen.choice(self._huge if chosen.random() < RARE else self._tokens))
        elif roll < 0.9:
            holder[key] = _other_type(value, chosen)
        else:
            there, place = chosen.choice(_places(self.data))
            holder[key] = json.loads(json.dumps(there[place], default=str))

    def _change_gently(self, holder: Any, key: Any, value: Any) -> None:
        """Put another value of the same type in the place of one, which is read further than others are."""
        chosen = self._chosen
        match value:
            case bool():
                holder[key] = not value
            case str():
                holder[key] = chosen.choice(hostile.TEXTS)
            case int() | float():
                tokens = [one for one in self._tokens if one[-1:].isdigit() and "e" not in one.lower()]
                holder[key] = self._raw(chosen.choice(tokens))
            case list() if value:
                at = chosen.randrange(len(value))
                holder[key] = chosen.choice((value[:at], value[at:], value + value[at:], value[::-1]))
            case dict() if value:
                holder[key] = {name: one for name, one in value.items() if chosen.random() < 0.7}
            case _:
                holder[key] = chosen.choice(("x", 1, None, [], {}))

    def _raw(self, token: str) -> str:
        self.raws.append(token)
        return f"@RAW{len(self.raws) - 1}@"

    def _replace(self, holder: Any, token: str) -> None:
        """Put a token in the place of a holder."""
        for inside, key in _places(self.data):
            if inside[key] is holder:
                inside[key] = self._raw(token)
                return

    def render(self, text: str) -> bytes:
        """Return what was written, with the tokens in the places of their names; some hold the names of others."""
        for _ in range(3):
            text = RAW.sub(lambda found: self.raws[int(found[1])], text)
        return text.encode("utf-8", "surrogatepass")


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Return every list and dictionary with each of its keys, at most so many."""
    found: list[tuple[Any, Any]] = []
    waiting = [data]
    while waiting and len(found) < 20_000:
        holder = waiting.pop()
        for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
            found.append((holder, key))
            if isinstance(value, dict | list):
                waiting.append(value)
    return found


def _rename(holder: dict[Any, Any], key: Any, chosen: Random) -> None:
    value = holder.pop(key)
    match chosen.randrange(4):
        case 0:
            holder[chosen.choice(hostile.TEXTS)] = value
        case 1:
            holder[str(key)[:-1]] = value
        case 2:
            holder |= {key: value, chosen.choice(("x", *hostile.TEXTS)): value}
        case _:
            pass  # it is gone


def _other_type(value: Any, chosen: Random) -> Any:
    match chosen.randrange(6):
        case 0:
            return str(value)
        case 1:
            return [value]
        case 2:
            return {"a": value}
        case 3 if isinstance(value, list | str):
            return value * chosen.choice((2, 3, 100))
        case 4 if isinstance(value, list) and value:
            return value[0]
        case _:
            return chosen.choice((0, 1, -1, 0.5, True, None, [], {}, ""))


def change_json(content: bytes, chosen: Random) -> bytes:
    """Change values of JSON."""
    return _change_tree(content, chosen, _from_json, hostile.JSON, hostile.HUGE_JSON, _to_json)


def change_yaml(content: bytes, chosen: Random) -> bytes:
    """Change values of YAML; what is written may be JSON too."""
    to = _to_yaml if chosen.random() < 0.7 else _to_json
    return _change_tree(content, chosen, _from_yaml, hostile.YAML, hostile.HUGE_YAML, to)


def change_toml(content: bytes, chosen: Random) -> bytes:
    """Change values of TOML."""
    return _change_tree(content, chosen, _from_toml, hostile.TOML, hostile.HUGE_TOML, _to_toml)


def change_python(content: bytes, chosen: Random) -> bytes:
    """Change values of a dictionary that a Python file assigns."""
    return _change_tree(content, chosen, _from_python, hostile.PYTHON, hostile.HUGE_PYTHON, _to_python)


def change_card(content: bytes, chosen: Random) -> bytes:
    """Change values of the YAML between the first two ``---``."""
    head, mark, front = content.partition(b"---\n")
    front, end, rest = front.partition(b"---\n")
    return head + mark + change_yaml(front, chosen) + end + rest


def change_lines(content: bytes, chosen: Random) -> bytes:
    """Change a line of JSON, or which lines there are."""
    lines = content.split(b"\n")
    at = chosen.randrange(len(lines))
    match chosen.randrange(6):
        case 0:
            lines.insert(at, chosen.choice(lines))
        case 1:
            lines.pop(at)
        case 2:
            lines[at : at + 2] = [b"".join(lines[at : at + 2])]
        case _:
            lines[at] = change_json(lines[at], chosen)
    return b"\n".join(lines)


def change_cells(content: bytes, chosen: Random) -> bytes:
    """Change a cell between tabs or commas."""
    cells = re.split(rb"([\t\n,])", content)
    text = chosen.choice((*hostile.TEXTS, *hostile.JSON))
    cells[2 * chosen.randrange(len(cells) // 2 + 1)] = text.encode("utf-8", "surrogatepass")
    return b"".join(cells)


def _change_tree(
    content: bytes,
    chosen: Random,
    read: Callable[[bytes], str | None],
    tokens: Sequence[str],
    huge: Sequence[str],
    write: Callable[[Any], str],
) -> bytes:
    known = read(content)
    if known is None:  # it was damaged before
        return change_tokens(content, chosen)
    tree = Tree(json.loads(known), tokens, huge, chosen)
    tree.change()
    try:
        return tree.render(write(tree.data[0]))
    except (TypeError, ValueError, AttributeError, RecursionError, yaml.YAMLError):  # the format has no word for that
        return change_tokens(content, chosen)


def _as_json(read: Callable[[bytes], Any]) -> Callable[[bytes], str | None]:
    """Remember what a content holds as JSON, which is quick to read again; None where it holds nothing."""

    @lru_cache(maxsize=256)
    def reading(content: bytes) -> str | None:
        if len(content) > LONG or content.count(b"*a") > LAUGHS:
            return None
        try:
            return json.dumps(read(content), default=str)
        except Exception:  # it is hostile already, and this is not what is tried
            return None

    return reading


def _read_python(content: bytes) -> Any:
    """Return the dictionary that is assigned, beside the name that it is assigned to."""
    (statement,) = (one for one in ast.parse(content).body if isinstance(one, ast.Assign))
    return {ast.unparse(statement.targets[0]): ast.literal_eval(statement.value)}


_from_json = _as_json(json.loads)
_from_yaml = _as_json(lambda content: yaml.load(content, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
_from_toml = _as_json(lambda content: tomllib.loads(content.decode()))
_from_python = _as_json(_read_python)


def _to_json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)


def _to_yaml(data: Any) -> str:
    return str(
        yaml.dump(data, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), allow_unicode=True, sort_keys=False)
    )


def _to_toml(data: Any) -> str:
    return tomli_w.dumps(data)


def _to_python(data: Any) -> str:
    return "".join(f"{name} = {value!r}\n" for name, value in data.items())


def change_blob(content: bytes, chosen: Random) -> bytes:
    """Change what a blob of a store holds and seal it again, as whoever can write there could."""
    inner = arrays.unseal(content)
    if inner is None or chosen.random() < 0.2:
        return change_bytes(content, content, chosen)
    key, held = inner
    if chosen.random() < 0.1:
        other = json.loads(_from_json(change_json(json.dumps(key).encode(), chosen)) or "{}")
        key = other if isinstance(other, dict) else {"kind": other}
    else:
        held = (arrays.change_parquet if held.startswith(b"PAR1") else change_json)(held, chosen)
    return arrays.seal(key, held)


def change_page(content: bytes, chosen: Random) -> bytes:
    """Change the first line, a header or the body of an answer over HTTP, whose length is then said as it is."""
    head, mark, body = content.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    at = chosen.randrange(len(lines) + 1)
    text = chosen.choice(hostile.TEXTS).encode("utf-8", "surrogatepass")
    match chosen.randrange(6):
        case 0:
            first = chosen.choice(hostile.STATUSES)
        case 1:
            lines.insert(at, chosen.choice(hostile.HEADERS))
        case 2 if at < len(lines):
            lines[at] = lines[at].partition(b":")[0] + b": " + text
        case 3 if at < len(lines):
            lines.pop(at)
        case 4:
            lines.insert(at, text + b": " + chosen.choice(hostile.BYTES))
        case _:
            body = change_json(body, chosen)
            lines = [line for line in lines if not line.lower().startswith(b"content-length")]
            lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([first, *lines]) + mark + body


_STRUCTURAL: Mapping[str, Callable[[bytes, Random], bytes]] = {
    ".json": change_json, ".yaml": change_yaml, ".yml": change_yaml, ".toml": change_toml, ".py": change_python,
    ".http": change_page, ".md": change_card, ".jsonl": change_lines, ".tsv": change_cells, ".csv": change_cells,
    ".blob": change_blob,
    ".parquet": arrays.change_parquet, ".npy": arrays.change_npy, ".vectors": arrays.change_segment,
}  # fmt: skip
