"""Where a path of the user's points, and what of a file there is read."""

import os
from pathlib import Path

import pytest

from touchstone.errors import BaselineError, ConfigError
from touchstone.files.writing import MAX_FILE_BYTES, find_files, place, read_bytes, read_text, read_toml


@pytest.mark.parametrize(
    "path", ["~nosuchuser/x", "a\0b", "~a\0", "\ud800", "a\udcff", "n" * 256, "d/" * 3_000, "é" * 200]
)
def test_a_path_that_there_cannot_be_is_one_sentence(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place(tmp_path, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["a", "a/b", "/dev/null/x", ".", "org/name"])
def test_a_path_that_there_may_be_is_placed(tmp_path: Path, path: str) -> None:
    assert place(tmp_path, path) == tmp_path / path


@pytest.mark.parametrize("path", ["/dev/null/x", "/dev/zero", "/dev/null", "/", "/nosuch/file", "a\0b", "n" * 300])
def test_what_is_no_file_is_one_sentence_and_nothing_waits(path: str) -> None:
    with pytest.raises(BaselineError):
        read_text(Path(path), BaselineError)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BaselineError, match=r"is a device or a pipe, not a file$"):
        read_bytes(tmp_path / "pipe", BaselineError)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    for read in (lambda: read_bytes(tmp_path / "large", ConfigError), lambda: read_toml(tmp_path / "large")):
        with pytest.raises(ConfigError, match="is larger than "):
            read()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a = " + "[" * 100_000, "is nested too deeply"),
        ("a = " + "{a = " * 100_000, "is nested too deeply"),
        (".".join("a" * 50_000) + " = 1", "a key of more than 40 parts"),
        ("[" + ".".join("a" * 50_000) + "]", "a key of more than 40 parts"),
        ("a = " + "9" * 5_000, "a number of more than 4300 digits"),
        (f"a = {2**63}", "a is too large a whole number"),
        ("[a]\nb = nan", "[a] b = nan; expected a number that is finite"),
        ("[a]\nb = [-inf]", "[a.b] 0 = -inf"),
        ("a = 1e400", "a = inf"),
        ("a = 2024-13-45", "not TOML"),
        ('a = "\\ud800"', "not TOML"),
    ],
    ids=lambda value: value[:20],
)
def test_toml_that_cannot_be_taken_is_one_sentence(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_toml(tmp_path / "x.toml")
    assert str(caught.value).startswith(f"{tmp_path / 'x.toml'}: ")
    assert why in str(caught.value)


def test_files_whose_names_are_no_text_are_left_out(tmp_path: Path) -> None:
    for name in (b"b.json", b"\xff.json", b"a.json", b"c.txt"):
        (tmp_path / os.fsdecode(name)).touch()
    assert [file.name for file in find_files(tmp_path, "*.json")] == ["a.json", "b.json"]
