import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.errors import BaselineError, ConfigError
from touchstone.files.validation import NO_OTHER_KEYS, check, check_json
from touchstone.files.writing import read_toml, to_json, write_atomically
from touchstone.records.baselines import BaselineFile
from touchstone.records.flat import flat_twin

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@dataclass(frozen=True, kw_only=True)
class Wheel:
    __pydantic_config__: ClassVar[Any] = NO_OTHER_KEYS

    spokes: int
    colour: str = "black"


@dataclass(frozen=True, kw_only=True)
class Bicycle:
    __pydantic_config__: ClassVar[Any] = NO_OTHER_KEYS

    front: Wheel = Wheel(spokes=32)
    spare: Wheel | None = None
    others: tuple[Wheel, ...] = ()
    prices: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, price in self.prices.items():
            if price < 0:
                raise ValueError(f"{name} = {price}: must be 0 or more")


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize(("content", "data"), [("größe\n", b"gr\xc3\xb6\xc3\x9fe\n"), (b"\x00\xff", b"\x00\xff")])
def test_a_file_is_written_whole_into_folders_that_were_not_there(
    tmp_path: Path, content: str | bytes, data: bytes
) -> None:
    file = tmp_path / "a" / "b" / "run.json"
    write_atomically(file, content)
    assert file.read_bytes() == data
    assert names_in(file.parent) == ["run.json"]


@pytest.mark.parametrize("failure", [OSError("No space left on device"), KeyboardInterrupt()])
def test_the_old_file_stays_and_nothing_is_left_behind_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def fail(_: int) -> None:
        raise failure

    file = tmp_path / "run.json"
    write_atomically(file, "old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(failure)):
        write_atomically(file, "new")
    assert file.read_text() == "old"
    assert names_in(tmp_path) == ["run.json"]


def test_nothing_is_left_behind_when_the_file_cannot_be_put_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "run.json").mkdir()
    with pytest.raises(OSError, match=r"run\.json"):
        write_atomically(tmp_path / "run.json", "new")
    assert names_in(tmp_path) == ["run.json"]


def test_json_is_sorted_indented_and_ends_in_a_newline() -> None:
    assert to_json({"b": [1], "a": {"é": None}}) == (
        '{\n  "a": {\n    "é": null\n  },\n  "b": [\n    1\n  ]\n}\n'
    )  # fmt: skip


@given(PLAIN)
def test_json_reads_back_as_what_was_written(value: object) -> None:
    assert json.loads(to_json(value)) == value


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_have_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"score": [number]})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a = ", "not TOML: Invalid value (at end of document)"),
        (b"a = 1\na = 2", "not TOML: Cannot overwrite a value"),
    ],
)
def test_what_is_not_toml_is_named_with_its_place(tmp_path: Path, content: bytes, sentence: str) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_toml(file)
    assert str(caught.value).startswith(f"{file}: {sentence}")


def test_a_toml_file_that_is_not_utf_8_or_is_a_folder_says_so_without_pythons_words(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'a = "\xe9"')
    for file in (tmp_path / "latin.toml", tmp_path):
        with pytest.raises(ConfigError) as caught:
            read_toml(file)
        assert str(caught.value).startswith(f"{file}: ")
        assert "codec" not in str(caught.value)
        assert "Errno" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"fornt": {}}, 'has an unknown key "fornt"; did you mean "front"?'),
        ({"front": {}}, '[front] needs a key "spokes"'),
        ({"front": {"spokes": 1, "color": ""}}, '[front] has an unknown key "color"; did you mean "colour"?'),
        ({"front": {"spokes": 1, "§": ""}}, '[front] has an unknown key "§"; known: colour, spokes'),
        ({"prices": {"STS": -1}}, "STS = -1: must be 0 or more"),
    ],
)
def test_wrong_data_is_one_sentence_with_its_place(data: object, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(Bicycle, data, "here")
    assert str(caught.value) == f"here: {sentence}"


@pytest.mark.parametrize(
    "data",
    [{"spare": {"spokes": 1, "color": ""}}, {"others": [{"spokes": 1, "color": ""}]}],
    ids=["optional", "list"],
)
def test_the_nearest_key_is_found_behind_optional_tables_and_lists_of_tables(data: object) -> None:
    with pytest.raises(ConfigError) as caught:
        check(Bicycle, data, "here")
    assert str(caught.value).endswith('has an unknown key "color"; did you mean "colour"?')


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("{", "b.json: not JSON: EOF while parsing an object"),
        ('{"model": "m", "schema": 2}', "b.json: schema = 2; expected one of 1"),
        ("{}", 'b.json: needs a key "model"'),
        ('{"model": "m", "tasks": {"A": {"score": 0.5}}}', 'b.json: [tasks.A] needs a key "metric"'),
        ('{"model": 3}', "b.json: model = 3; "),
    ],
)
def test_wrong_json_is_an_error_of_the_kind_asked_for(text: str, start: str) -> None:
    with pytest.raises(BaselineError) as caught:
        check_json(flat_twin(BaselineFile), text, "b.json", BaselineError)
    assert str(caught.value).startswith(start)
