"""The command as a whole: what it writes, what it leaves alone, what it says."""

import hashlib
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import FINGERPRINT, make_baseline, make_baseline_file, make_row, make_run
from tests.importing.documents import (
    make_block,
    make_front,
    make_result,
    write_card,
    write_results,
)
from tests.importing.documents import (
    make_row as make_result_row,
)
from touchstone.__main__ import main
from touchstone.baselines.files import Baselines, load_baseline_file, render_baseline_file
from touchstone.errors import TouchstoneError
from touchstone.importing.reading import read_source
from touchstone.importing.request import Request
from touchstone.importing.writing import import_baselines
from touchstone.records.flat import flatten
from touchstone.store.folder import Store

MINILM = "all-MiniLM-L6-v2"
FRONT = make_front(
    make_block("NFCorpus"),
    make_block("STS17", "STS", config="en-en", named="en-en"),
    make_block("TwitterURLCorpus", "PairClassification"),
    name=MINILM,
)


def run(
    folder: Path, source: str, *, into: str = "own", replace: bool = False, dry_run: bool = False, **changes: Any
) -> str:
    request = Request(source=source, folder=folder, **changes)
    baselines = Baselines(folder / into, folder / "built-in")
    return import_baselines(request, baselines, replace_recorded=replace, dry_run=dry_run)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_card_becomes_a_baseline_file_that_reads_back(tmp_path: Path) -> None:
    card = write_card(tmp_path, FRONT)
    out = run(tmp_path, "card.md", revision="abc")
    path = tmp_path / "own" / f"{MINILM}.json"
    content = load_baseline_file(path)
    assert out.splitlines() == [
        f"{MINILM}: sentence-transformers/{MINILM} at abc, from card:{MINILM}",
        "  3 entries: 3 new",
        "  taken in part, the task has more splits or subsets: STS17 (test/en-en of 11)",
        f"wrote own/{MINILM}.json",
    ]
    assert (content.model, content.revision) == (f"sentence-transformers/{MINILM}", "abc")
    assert render_baseline_file(content).encode() == path.read_bytes()
    assert str(tmp_path) not in path.read_text()
    assert card.name not in path.read_text()


def test_importing_twice_changes_no_byte(tmp_path: Path) -> None:
    write_card(tmp_path, FRONT)
    run(tmp_path, "card.md")
    before = tree(tmp_path)
    out = run(tmp_path, "card.md")
    assert "3 entries: 3 same" in out
    assert "already in" in out
    assert tree(tmp_path) == before


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(tmp_path: Path) -> None:
    write_card(tmp_path, FRONT)
    before = tree(tmp_path)
    out = run(tmp_path, "card.md", dry_run=True)
    assert "  new     NFCorpus ndcg_at_10 60.50" in out.splitlines()
    assert out.splitlines()[-1] == f"would write own/{MINILM}.json"
    assert tree(tmp_path) == before


def test_recorded_entries_stay_unless_they_are_to_be_replaced(tmp_path: Path) -> None:
    write_card(tmp_path, FRONT)
    path = tmp_path / "own" / f"{MINILM}.json"
    path.parent.mkdir()
    old = {"NFCorpus": make_baseline(0.25), "STSBenchmark": make_baseline(0.5)}
    path.write_text(render_baseline_file(make_baseline_file(old)))
    revision = make_baseline_file({}).revision
    out = run(tmp_path, "card.md", revision=revision)
    assert "  recorded by a run and kept, --replace overwrites them: NFCorpus" in out.splitlines()
    assert load_baseline_file(path).tasks["NFCorpus"] == old["NFCorpus"]
    assert "NFCorpus" in run(tmp_path, "card.md", revision=revision, dry_run=True)
    run(tmp_path, "card.md", revision=revision, replace=True)
    assert load_baseline_file(path).tasks["NFCorpus"].score == 0.605
    assert load_baseline_file(path).tasks["STSBenchmark"] == old["STSBenchmark"]


def test_a_tree_of_results_becomes_a_baseline_of_its_revision(tmp_path: Path) -> None:
    revision = "a" * 40
    write_results(tmp_path / "results" / "org__some" / revision, make_result(), make_result("NoSuchTask"))
    out = run(tmp_path, "results", alias="mine")
    content = load_baseline_file(tmp_path / "own" / "mine.json")
    assert (content.model, content.revision) == ("org/some", revision)
    assert content.tasks["NFCorpus"].score == 0.605
    assert content.tasks["NFCorpus"].source == "results-repo@aaaaaaaa"
    assert "  1 entry: 1 new" in out.splitlines()
    assert "  not a task of mteb: NoSuchTask" in out.splitlines()


def test_a_run_becomes_a_recorded_baseline_with_its_samples(tmp_path: Path) -> None:
    store = Store(tmp_path / ".touchstone")
    file = store.write_samples(FINGERPRINT, "STSBenchmark.parquet", b"samples")
    record = make_row(score=0.5, subsets={"test/default": 0.5}, fingerprint=FINGERPRINT, samples=file)
    store.write_run("1", flatten(make_run(record)))
    run(tmp_path, ".touchstone")
    entry = load_baseline_file(tmp_path / "own" / "minilm.json").tasks["STSBenchmark"]
    assert (entry.fingerprint, entry.source) == (FINGERPRINT, "run")
    (samples,) = (tmp_path / "own" / "samples" / "minilm").iterdir()
    assert samples.name == f"STSBenchmark.{hashlib.sha256(b'samples').hexdigest()[:12]}.parquet"
    assert samples.read_bytes() == b"samples"
    before = tree(tmp_path)
    assert "1 same" in run(tmp_path, ".touchstone")
    assert tree(tmp_path) == before


def test_nothing_is_written_of_several_models_when_one_is_refused(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"score": 0.5, "subsets": {"test/default": 0.5}, "fingerprint": FINGERPRINT}
    Store(tmp_path / ".touchstone").write_run(
        "1", flatten(make_run(make_row(**fields), make_row(alias="other", **fields)))
    )
    path = tmp_path / "own" / "other.json"
    path.parent.mkdir()
    path.write_text(render_baseline_file(make_baseline_file({"A": make_baseline(imported=True)}, model="org/x")))
    before = tree(tmp_path)
    with pytest.raises(TouchstoneError, match=r"A was imported for org/x"):
        run(tmp_path, ".touchstone")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("source", "changes", "sentence"),
    [
        ("card.md", {"include_external": True}, "--include-external is for trees of results, and card.md is a card"),
        ("card.md", {"alias": "a:b"}, '--alias = "a:b" is not a name that pytest -k can select; use A-Z'),
        ("scope.json", {}, 'scope.json: needs a key "eval_config"'),
        ("org/model", {}, "org/model is no file or folder here, and the hub gave no card of that name: "),
        ("none.md", {}, "none.md: has no score of a task of mteb: MTEB NoSuchTask: not a task of mteb"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(
    tmp_path: Path, source: str, changes: dict[str, Any], sentence: str
) -> None:
    write_card(tmp_path, FRONT)
    write_card(tmp_path, make_front(make_block("NoSuchTask")), name="none.md")
    (tmp_path / "scope.json").write_text('{"eval_backend": "RAGEval"}')
    before = tree(tmp_path)
    with pytest.raises(TouchstoneError) as caught:
        run(tmp_path, source, **changes)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert tree(tmp_path) == before


def places(value: Any, inside: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Name every place in plain data, from the outside in."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, one in items for found in ((*inside, key), *places(one, (*inside, key)))]


def change(content: Any, place: tuple[Any, ...], how: Callable[[Any, Any], None]) -> Any:
    """Return a copy in which something was done to the table or list that holds a place."""
    copy = deepcopy(content)
    holder = copy
    for key in place[:-1]:
        holder = holder[key]
    how(holder, place[-1])
    return copy


def drop(holder: Any, key: Any) -> None:
    del holder[key]


def put_seven_thousand(holder: Any, key: Any) -> None:
    holder[key] = 7000


def put_a_string(holder: Any, key: Any) -> None:
    holder[key] = str(holder[key])


def refused(folder: Path, source: str) -> str:
    """Import what is damaged into a folder that must stay as it is; return the one sentence."""
    before = tree(folder)
    with pytest.raises(TouchstoneError) as caught:
        run(folder, source)
    assert tree(folder) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


CARD_PLACES = [place for place in places(FRONT) if place[0] == "model-index"]
CARD_KEYS = [place for place in CARD_PLACES if isinstance(place[-1], str)]
CARD_NUMBERS = [place for place in CARD_PLACES if place[-1] == "value"]


def imported(folder: Path, source: str) -> dict[str, tuple[float, dict[str, float]]]:
    """Import what is damaged; return its scores, or nothing where it was refused in a sentence and nothing written."""
    before = tree(folder)
    try:
        (found,) = read_source(Request(source=source, folder=folder))
    except TouchstoneError:
        refused(folder, source)
        return {}
    assert tree(folder) == before
    return {name: (entry.score, dict(entry.subsets)) for name, entry in found.entries.items()}


@settings(max_examples=60)
@given(st.data())
def test_what_is_damaged_in_a_card_is_left_out_and_changes_no_other_number(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("card")
    write_card(folder, FRONT)
    right = imported(folder, "card.md")
    how = data.draw(st.sampled_from([drop, put_seven_thousand, put_a_string]))
    place = data.draw(st.sampled_from(CARD_KEYS if how is drop else CARD_NUMBERS))
    write_card(folder, change(FRONT, place, how))
    found = imported(folder, "card.md")
    assert found.items() <= right.items()
    if len(place) > 3:
        (task,) = {
            right_task for at, right_task in enumerate(("NFCorpus", "STS17", "TwitterURLCorpus")) if at == place[3]
        }
        assert right.keys() - {task} <= found.keys()
        assert how is drop or task not in found


@settings(max_examples=30)
@given(st.data())
def test_a_truncated_card_is_refused_and_nothing_is_written(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("card")
    card = write_card(folder, FRONT)
    text = card.read_text()
    end = text.index("\n---")
    card.write_text(text[: data.draw(st.integers(0, end))])
    assert refused(folder, "card.md").startswith(f"{card}: ")


RESULT = make_result("STS17", make_result_row("en-en", cosine_spearman=0.8, cosine_pearson=0.7, pearson=[0.7, 1e-9]))
ROW = ("scores", "test", 0)
RESULT_KEYS = [
    *((key,) for key in RESULT),
    *((*ROW, key) for key in ("hf_subset", "languages", "main_score", "cosine_spearman")),
]
RESULT_NUMBERS = [(*ROW, key) for key in ("main_score", "cosine_spearman", "cosine_pearson")]


@settings(max_examples=60)
@given(st.data())
def test_what_is_damaged_in_a_result_file_is_left_out(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    revision = write_results(folder / "org__some" / "abc", RESULT, make_result("NFCorpus"))
    path = revision / "STS17.json"
    right = imported(folder, "org__some")
    how = data.draw(st.sampled_from([drop, put_seven_thousand, put_a_string, None]))
    if how is None:
        text = path.read_text()
        path.write_text(text[: data.draw(st.integers(0, len(text) - 1))])
    else:
        place = data.draw(st.sampled_from(RESULT_KEYS if how is drop else RESULT_NUMBERS))
        path.write_text(json.dumps(change(RESULT, place, how)))
    found = imported(folder, "org__some")
    assert found.items() <= right.items()
    assert "NFCorpus" in found
    assert how is drop or "STS17" not in found


def test_the_command_prints_and_writes_into_the_folder_it_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_card(tmp_path, FRONT)
    assert main(["baselines", "import", "card.md", "--alias", "mine", "--into", "there", "--dry-run"]) == 0
    assert "would write" in capsys.readouterr().out
    assert main(["baselines", "import", "card.md", "--alias", "mine", "--into", "there"]) == 0
    assert capsys.readouterr().out.startswith("mine: ")
    assert (tmp_path / "there" / "mine.json").is_file()
    assert main(["baselines", "import", "gone.md"]) == 4
    assert capsys.readouterr().err.startswith("touchstone: gone.md: no such file or folder")
