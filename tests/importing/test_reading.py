import json
from pathlib import Path

import pytest

from tests.importing.documents import make_block, make_front, make_result, write_card, write_results
from touchstone.errors import BaselineError, ConfigError
from touchstone.importing.reading import find_kind
from touchstone.importing.request import Kind, Request


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_card(tmp_path, make_front(make_block()))
    write_card(tmp_path, make_front(make_block()), name="card.txt")
    (tmp_path / "repository").mkdir()
    write_card(tmp_path / "repository", make_front(make_block()), name="README.md")
    (tmp_path / "repository" / "config.json").write_text("{}")
    write_results(tmp_path / "clone" / "results" / "org__m" / "abc", make_result())
    (tmp_path / "clone" / "README.md").write_text("# Results\n")
    (tmp_path / "store" / "runs").mkdir(parents=True)
    (tmp_path / "store" / "runs" / "1.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    for name, content in (
        ("run.json", {"suite": "smoke", "records": []}),
        ("odd.json", {}),
        ("result.json", make_result()),
        ("old-result.json", {"mteb_dataset_name": "X", "test": {}}),
        ("one.json", {"eval_backend": "RAGEval", "eval_config": {}}),
        ("today.json", {"models": [], "task_names": []}),
        ("first.json", {"model": [], "eval": {}, "tasks": []}),
    ):
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "notes.txt").write_text("nothing")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("card.md", "card"),
        ("card.txt", "card"),
        ("repository", "card"),
        ("org/name", "card"),
        ("clone", "results"),
        ("clone/results/org__m/abc", "results"),
        ("empty", "results"),
        ("result.json", "results"),
        ("old-result.json", "results"),
        ("store", "run"),
        ("run.json", "run"),
        ("odd.json", "run"),
        ("run.json:minilm", "run"),
        ("one.json", "evalscope"),
        ("today.json", "evalscope"),
        ("first.json", "evalscope"),
    ],
)
def test_a_source_shows_what_it_is(folder: Path, source: str, kind: Kind) -> None:
    assert find_kind(Request(source=source, folder=folder)) == kind


def test_a_kind_that_was_named_is_not_questioned(folder: Path) -> None:
    assert find_kind(Request(source="run.json", folder=folder, kind="card")) == "card"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("crad.md", 'crad.md: no such file or folder; did you mean "card.md"?'),
        ("./org/name", "./org/name: no such file or folder"),
        ("org/name/more", "org/name/more: no such file or folder"),
        ("org/card.md", "org/card.md: no such file or folder"),
    ],
)
def test_what_is_not_there_is_refused(folder: Path, source: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_kind(Request(source=source, folder=folder))
    assert str(caught.value).startswith(sentence)


def test_a_file_of_no_kind_is_refused(folder: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"notes\.txt: neither a card, .* which --kind names, nor a run file with --qrels$"
    ):
        find_kind(Request(source="notes.txt", folder=folder))
    (folder / "notes.txt").write_bytes(b"\xff")
    with pytest.raises(BaselineError, match=r"notes\.txt: not UTF-8 at byte 0$"):
        find_kind(Request(source="notes.txt", folder=folder))
