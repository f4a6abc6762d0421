"""JSON of strangers: each key once, numbers that there are, and no more than can be held."""

import gc
import json
from pathlib import Path

import pytest

from tests.files.measuring import assert_cheap
from touchstone.errors import BaselineError, ModelError
from touchstone.files.json import MAX_KEYS, MAX_VALUES, load, parse_json, read_json

NINES = "9" * 5_000


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[" * 100_000, "is nested too deeply"),
        ('{"a":' * 100_000, "is nested too deeply"),
        ("[" * 150 + "]" * 150, "is nested too deeply"),
        (NINES, "holds a number of more than 4300 digits"),
        (f'{{"a": [{NINES}]}}', "holds a number of more than 4300 digits"),
        (f'{{"a": {2**63}}}', "a is too large a whole number"),
        ('{"a": {"b": [NaN]}}', "[a.b] 0 = nan; expected a number that is finite"),
        ('{"a": -Infinity}', "a = -inf; expected a number that is finite"),
        ('{"a": 1e400}', "a = inf; expected a number that is finite"),
        ('{"a": 1, "a": 1}', 'says "a" twice in one object'),
        ('[{"b": {"c": 1, "d": 2, "c": 3}}]', 'says "c" twice in one object'),
        (r'{"\u0061": 1, "a": 2}', 'says "a" twice in one object'),
        (r'{"a": "\ud800"}', "a holds half of a surrogate pair"),
        (r'{"\udfff": 1}', "has a key with half of a surrogate pair"),
        (r'["\ude00\ud83d"]', "0 holds half of a surrogate pair"),
        ("", "not JSON: EOF while parsing a value"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8 at byte 0"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        ('{"a": 1}'.encode("utf-16-le"), "not JSON: "),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_taken_is_one_sentence(text: str | bytes, why: str) -> None:
    with pytest.raises(BaselineError) as caught:
        parse_json(text, "x.json", BaselineError)
    assert str(caught.value).startswith(f"x.json: {why}")


@pytest.mark.parametrize(
    "text",
    [
        "[" + "[]," * MAX_VALUES + "[]]",
        "[" + '{"a": 1},' * (MAX_VALUES - 1) + "1]",
        "{" + ",".join(f'"{number}": 1' for number in range(MAX_KEYS + 1)) + "}",
        '{"' + "k" * 60_000_000 + '": NaN}',
    ],
    ids=["lists", "objects", "keys", "a long key"],
)
def test_much_is_refused_soon(text: str) -> None:
    assert assert_cheap(lambda: parse_json(text, "x", BaselineError)).startswith("x: ")


def test_numbers_of_other_programs_are_taken_where_that_is_said() -> None:
    text = '{"model_max_length": 1000000000000000019884624838656, "limit": [0.0, Infinity]}'
    assert parse_json(text, "x", ModelError, wide=True) == json.loads(text)
    with pytest.raises(ModelError, match="too large a whole number"):
        parse_json("1" + "0" * 400, "x", ModelError, wide=True)


@pytest.mark.parametrize("text", ['{"a": [1, -2.5, true, null, "é", "😀"]}', r'"\ud83d\ude00"', "[]"])
def test_good_json_is_what_it_says(text: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_json(tmp_path / "x", BaselineError) == json.loads(text)


def test_what_is_inside_texts_is_no_value() -> None:
    text = json.dumps(['a, [b], {"c"} \\' * (MAX_VALUES // 4)])
    assert parse_json(text, "x.json", BaselineError) == json.loads(text)


class Garbage:
    """One object of a cycle; its finalizer says that the collector came by."""

    def __init__(self, found: list[str]) -> None:
        self.itself = self
        self.found = found

    def __del__(self) -> None:
        self.found.append("finalized")


def test_no_finalizer_runs_in_the_middle_of_a_document() -> None:
    finalized: list[str] = []
    seen: list[list[str]] = []

    def hook(_: object) -> None:
        Garbage(finalized)
        seen.append(list(finalized))

    load("[{}, " + "[], " * 10_000 + "{}]", object_pairs_hook=hook)
    assert seen == [[], []]
    assert gc.isenabled()
    gc.collect()
    assert len(finalized) == 2
