"""Anchors of baseline files: kept with their samples, moved with a reason only, and refused where none writes them."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.builders import ENV, OTHER_FINGERPRINT, make_baseline, make_baseline_file, make_row
from touchstone.baselines.files import Baselines, load_baseline_file, render_baseline_file
from touchstone.errors import BaselineError
from touchstone.files.locking import locked
from touchstone.records.flat import read_baseline_file
from touchstone.records.verdicts import Terms
from touchstone.store.folder import Store

WHY = "the data lost its duplicates"
Update = Callable[..., None]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


@pytest.fixture
def update(tmp_path: Path, own: Path) -> Update:
    """Return what accepts a release with a score, in a process of its own as it were."""
    store = Store(tmp_path / "store")

    def accept(score: float, task: str = "STS16", **changes: Any) -> None:
        samples = store.write_samples("0123456789ab", task, str(score).encode())
        row = make_row(task, score=score, fingerprint=OTHER_FINGERPRINT, samples=samples, **changes)
        Baselines(own, tmp_path).write([row], ENV, store)

    return accept


def kept(own: Path, key: str = "STS16") -> tuple[float | None, float]:
    """Return the scores of an entry's anchor and of itself; the samples of both are whole."""
    baselines = Baselines(own, own)
    found = baselines.find("minilm", key)
    assert found is not None
    for one in filter(None, (found, found.anchor)):
        baselines.check_samples(one)
        assert one.samples is not None
        assert one.samples.read_bytes() == str(one.baseline.score).encode()
    return found.anchor.baseline.score if found.anchor else None, found.baseline.score


def count_samples(own: Path) -> int:
    return len(list(own.rglob("*.parquet")))


def test_ten_updates_in_a_row_keep_the_first_with_its_samples(own: Path, update: Update) -> None:
    scores = [(90 - 0.3 * step) / 100 for step in range(10)]
    for score in scores:
        update(score)
    assert kept(own) == (scores[0], scores[-1])
    assert count_samples(own) == 2


def test_an_update_back_to_the_first_release_needs_no_anchor(own: Path, update: Update) -> None:
    for score in (0.9, 0.8, 0.9):
        update(score)
    assert kept(own) == (None, 0.9)
    assert count_samples(own) == 1


def test_samples_of_an_anchor_that_are_gone_are_named(own: Path, update: Update) -> None:
    for score in (0.9, 0.8):
        update(score)
    baselines = Baselines(own, own)
    found = baselines.find("minilm", "STS16")
    assert found is not None
    assert found.anchor is not None
    assert found.anchor.samples is not None
    found.anchor.samples.write_bytes(b"others")
    with pytest.raises(BaselineError, match=r"is not the file recorded with minilm\.json; .*baselines anchor --move$"):
        baselines.check_samples(found.anchor)


def test_an_anchor_moves_to_the_current_entry_and_says_when_and_why(own: Path, update: Update) -> None:
    for score in (0.9, 0.8):
        update(score)
        update(score, "STS13")
    found = Baselines(own, own).move_anchors("minilm", "STS1[6]", reason=WHY)
    assert list(found) == ["STS16"]
    assert (kept(own), kept(own, "STS13")) == ((None, 0.8), (0.9, 0.8))
    moved = load_baseline_file(own / "minilm.json").moved
    assert moved == {"STS16": f"{found['STS16'].baseline.recorded}: {WHY}"}
    assert count_samples(own) == 3
    update(0.7)
    assert kept(own) == (0.8, 0.7)


def test_a_task_means_its_limited_entries_too(own: Path, update: Update) -> None:
    for score in (0.9, 0.8):
        update(score, limit=100)
    assert list(Baselines(own, own).move_anchors("minilm", "STS16", reason=WHY)) == ["STS16?limit=100"]


def test_where_nothing_moves_no_byte_changes(own: Path, update: Update) -> None:
    update(0.9)
    before = (own / "minilm.json").read_bytes()
    assert list(Baselines(own, own).move_anchors("minilm", "*", reason=WHY)) == ["STS16"]
    assert (own / "minilm.json").read_bytes() == before


@pytest.mark.parametrize("reason", ["", " ", "two\nlines", "a\rb", "\x1b[2J", "\u2028", "\udcff", "x" * 201])
def test_no_anchor_moves_without_a_reason_in_a_line(reason: str, own: Path, update: Update) -> None:
    for score in (0.9, 0.8):
        update(score)
    with pytest.raises(BaselineError, match=r"^--reason = .*; expected why the anchor moves, one line of 1 to 200"):
        Baselines(own, own).move_anchors("minilm", "*", reason=reason)
    assert kept(own) == (0.9, 0.8)


@pytest.mark.parametrize(
    ("alias", "pattern", "message"),
    [
        ("minlm", "*", r'^--move = "minlm": no minlm\.json in .*own; did you mean "minilm"\?$'),
        ("minilm", "STS61", r'^--task = "STS61": .*minilm\.json has no such entry; did you mean "STS16"\?$'),
        ("../minilm", "*", r'^"\.\./minilm" is no alias'),
    ],
)
def test_what_there_is_not_is_one_sentence(alias: str, pattern: str, message: str, own: Path, update: Update) -> None:
    update(0.9)
    with pytest.raises(BaselineError, match=message):
        Baselines(own, own).move_anchors(alias, pattern, reason=WHY)


def test_the_built_in_folder_is_never_written(tmp_path: Path, own: Path) -> None:
    own.mkdir()
    entries = {"STS16": make_baseline(0.8)}
    file = make_baseline_file(entries, anchors={"STS16": make_baseline(0.9)})
    (own / "minilm.json").write_text(render_baseline_file(file), encoding="utf-8")
    with pytest.raises(BaselineError, match=r'^--move = "minilm": no minilm\.json in .*mine$'):
        Baselines(tmp_path / "mine", own).move_anchors("minilm", "*", reason=WHY)
    assert not (tmp_path / "mine").exists()


def test_entries_that_only_the_built_in_folder_has_do_not_match(tmp_path: Path, own: Path, update: Update) -> None:
    update(0.9)
    built_in = tmp_path / "built-in"
    built_in.mkdir()
    text = render_baseline_file(make_baseline_file({"STS13": make_baseline(0.8)}))
    (built_in / "minilm.json").write_text(text, encoding="utf-8")
    assert list(Baselines(own, built_in).move_anchors("minilm", "*", reason=WHY)) == ["STS16"]
    with pytest.raises(BaselineError, match=r"has no such entry"):
        Baselines(own, built_in).move_anchors("minilm", "STS13", reason=WHY)


def test_a_move_waits_for_who_writes_and_both_count(tmp_path: Path, own: Path, update: Update) -> None:
    for score in (0.9, 0.8):
        update(score)
    mover = threading.Thread(target=lambda: Baselines(own, own).move_anchors("minilm", "*", reason=WHY))
    with locked(own):
        mover.start()
        mover.join(0.3)
        assert mover.is_alive()
        assert kept(own) == (0.9, 0.8)
    mover.join()
    update(0.7, "STS13")
    assert (kept(own), kept(own, "STS13")) == ((None, 0.8), (None, 0.7))
    assert list(load_baseline_file(own / "minilm.json").moved) == ["STS16"]


def test_an_entry_keeps_the_plan_of_the_run_that_recorded_it(own: Path, update: Update) -> None:
    update(0.9, terms=Terms(gated=41, plan="0123456789ab"))
    entry = load_baseline_file(own / "minilm.json").tasks["STS16"]
    assert (entry.gated, entry.plan) == (41, "0123456789ab")


def test_what_says_nothing_is_not_written() -> None:
    plain = json.loads(render_baseline_file(make_baseline_file({"STS16": make_baseline(0.8)})))
    assert not {"anchors", "moved"} & plain.keys()
    assert not {"gated", "plan"} & plain["tasks"]["STS16"].keys()


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("anchors.STS13", {}),
        ("anchors.../../x", {}),
        ("anchors.STS16", {"fingerprint": None}),
        ("anchors.STS16", {"fingerprint": "../x"}),
        ("anchors.STS16", {"samples": "../../x"}),
        ("anchors.STS16", {"limit": 10}),
        ("anchors.STS16", {"score": 82.0}),
        ("anchors.STS16", {"source": "x" * 600}),
        *(("tasks.STS16", {"gated": value}) for value in (0, -1, 10**13, 1.5)),
        *(("tasks.STS16", {"plan": value}) for value in ("", "../x", "xyz", "a" * 65)),
        ("moved.STS13", "2026-11-01: other data"),
        *(("moved.STS16", said) for said in ("", "other data", "2026-11-01: ", "2026-11-01: a\nb", "yesterday: x")),
        ("moved.STS16", "2026-11-01: " + "x" * 201),
        ("moved.STS16", "2026-11-01: \x1b[2J"),
        ("moved", []),
        ("anchors", "x"),
    ],
)
def test_what_no_update_or_move_writes_is_one_sentence(place: str, value: Any) -> None:
    file = make_baseline_file({"STS16": make_baseline(0.8)}, anchors={"STS16": make_baseline(0.9)})
    plain = json.loads(render_baseline_file(file))
    table, _, key = place.partition(".")
    if not key:
        plain[table] = value
    elif isinstance(value, dict):
        plain[table][key] = plain["anchors"]["STS16"] | value
    else:
        plain[table] = {key: value}
    with pytest.raises(BaselineError) as caught:
        read_baseline_file(json.dumps(plain).encode(), "minilm.json")
    said = str(caught.value)
    assert said.startswith("minilm.json: ")
    assert len(said) <= 500
    assert "\n" not in said
