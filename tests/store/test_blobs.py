import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from touchstone.errors import ConfigError
from touchstone.store import blobs
from touchstone.store.blobs import MARK, TAIL, read_blob, write_blob

KEY = {"kind": "outcomes", "fingerprint": "0123456789ab", "task": ["STS16", 1]}
CONTENT = json.dumps({"score": 0.5}).encode()


def write(path: Path, content: bytes = CONTENT) -> bytes:
    write_blob(path, KEY, lambda file: file.write(content))
    return path.read_bytes()


@given(st.binary(max_size=200))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("store") / "deep" / "a.blob"
    write(path, content)
    assert read_blob(path, KEY) == content
    assert [file.name for file in path.parent.iterdir()] == ["a.blob"]


def test_the_key_inside_is_compared(tmp_path: Path) -> None:
    write(tmp_path / "a.blob")
    assert read_blob(tmp_path / "a.blob", {**KEY, "task": ["STS16", 2]}) is None
    assert read_blob(tmp_path / "a.blob", {**KEY, "kind": "verdicts"}) is None
    assert read_blob(tmp_path / "a.blob", {**KEY, "task": ("STS16", 1)}) == CONTENT, "a tuple is a list in JSON"


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path, bit: int) -> None:
    path = tmp_path / "a.blob"
    whole = write(path)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
        assert read_blob(path, KEY) is None, place


def test_a_cut_or_empty_file_a_folder_and_nothing_are_no_blob(tmp_path: Path) -> None:
    path = tmp_path / "a.blob"
    whole = write(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert read_blob(path, KEY) is None
    (tmp_path / "folder.blob").mkdir()
    assert read_blob(tmp_path / "folder.blob", KEY) is None
    assert read_blob(tmp_path / "nothing.blob", KEY) is None


def test_an_older_format_is_made_again_and_a_newer_one_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.blob"
    write(path)
    monkeypatch.setattr(blobs, "FORMAT", blobs.FORMAT + 1)
    assert read_blob(path, KEY) is None
    monkeypatch.undo()
    path.write_bytes(b"another layout" + MARK + (7).to_bytes(4) + (3).to_bytes(4))
    with pytest.raises(ConfigError) as caught:
        read_blob(path, KEY)
    assert str(caught.value) == f"{path}: was written by a newer touchstone; run that one, or name another --store"
    assert len(MARK) + 8 == TAIL


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.blob"
    write(path)

    def fail(_: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_blob(path, KEY, fail)
    assert read_blob(path, KEY) == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ["a.blob"]
