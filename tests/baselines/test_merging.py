from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import MODEL, make_baseline, make_baseline_file
from touchstone.baselines.merging import Merge, merge_files, move_anchors
from touchstone.errors import BaselineError
from touchstone.records.baselines import Baseline, BaselineFile

SCORES = st.dictionaries(st.sampled_from("ABCDEF"), st.tuples(st.floats(0, 1), st.booleans()), min_size=1)


def merge(old: dict[str, Baseline] | None, new: dict[str, Baseline], **changes: Any) -> Merge:
    replace_recorded = changes.pop("replace_recorded", False)
    before = None if old is None else make_baseline_file(old)
    return merge_files(before, make_baseline_file(new, **changes), "m.json", replace_recorded=replace_recorded)


def entries(scores: dict[str, tuple[float, bool]]) -> dict[str, Baseline]:
    return {key: make_baseline(score, imported=imported) for key, (score, imported) in scores.items()}


@given(SCORES, SCORES, st.booleans())
def test_merging_twice_is_merging_once_and_no_entry_is_lost(
    old: dict[str, tuple[float, bool]], new: dict[str, tuple[float, bool]], overwrite: bool
) -> None:
    once = merge(entries(old), entries(new), replace_recorded=overwrite)
    again = merge_files(once.content, make_baseline_file(entries(new)), "m.json", replace_recorded=overwrite)
    assert again.content == once.content
    assert not again.keys("new", "changed")
    assert set(once.content.tasks) == {*old, *new}
    for key, (_, imported) in old.items():
        if key not in new or not (imported or overwrite):
            assert once.content.tasks[key] == entries(old)[key]


def test_each_entry_has_its_fate() -> None:
    old = {
        "Same": make_baseline(0.1, imported=True),
        "Changed": make_baseline(0.2, imported=True),
        "Kept": make_baseline(0.3),
        "Other": make_baseline(0.4),
    }
    new = {name: make_baseline(0.1, imported=True) for name in ("Same", "Changed", "Kept", "New")}
    found = merge(old, new)
    assert found.fates == {"Same": "same", "Changed": "changed", "Kept": "kept", "New": "new"}
    assert found.content.tasks == {**old, "Changed": new["Changed"], "New": new["New"]}
    assert merge(old, new, replace_recorded=True).fates["Kept"] == "changed"


def test_the_day_alone_changes_nothing() -> None:
    old = {"A": make_baseline(0.1, recorded="2026-11-01")}
    found = merge(old, {"A": make_baseline(0.1, recorded="2026-11-02")})
    assert (found.content.tasks, found.fates) == (old, {"A": "same"})


def test_imported_numbers_join_only_a_file_of_their_model_and_revision() -> None:
    old = {"A": make_baseline(0.1, imported=True), "B": make_baseline(0.2)}
    new = {"A": make_baseline(0.3, imported=True)}
    with pytest.raises(BaselineError) as caught:
        merge(old, new, revision=None)
    assert str(caught.value) == (
        f"m.json: B is of {MODEL} at 8b3219a92973c328a8e22fadcfa821b5dc75636a, and what is imported is of "
        f"{MODEL} at no revision; name its revision with --revision"
    )
    with pytest.raises(BaselineError, match=r"of org/other at .*; take another name with --alias$"):
        merge(old, new, model="org/other")


def test_a_file_whose_every_entry_is_replaced_becomes_the_new_models() -> None:
    new = {"A": make_baseline(0.3, imported=True)}
    found = merge({"A": make_baseline(0.1, imported=True)}, new, model="org/other", revision=None)
    assert found.content == BaselineFile(model="org/other", revision=None, tasks=new)


def test_a_file_from_which_nothing_gives_way_stays_as_it_is() -> None:
    old = {"A": make_baseline(0.1)}
    found = merge(old, {"A": make_baseline(0.3, imported=True)}, model="org/other")
    assert (found.content, found.fates) == (make_baseline_file(old), {"A": "kept"})


def walk(*steps: Baseline) -> BaselineFile:
    """Replace an entry by the next one, again and again."""
    file = make_baseline_file({"A": steps[0], "B": make_baseline(0.4)})
    for step in steps[1:]:
        file = merge_files(file, make_baseline_file({"A": step}), "m.json", replace_recorded=True).content
    return file


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_however_it_walks_the_first_recorded_entry_is_the_anchor_unless_it_is_back(scores: list[float]) -> None:
    found = walk(*map(make_baseline, scores))
    assert found.tasks["A"] == make_baseline(scores[-1])
    assert found.anchors == ({} if scores[-1] == scores[0] else {"A": make_baseline(scores[0])})


def test_an_imported_entry_becomes_no_anchor() -> None:
    imported, first, second = make_baseline(0.9, imported=True), make_baseline(0.5), make_baseline(0.4)
    assert walk(imported, first).anchors == {}
    assert walk(imported, first, second).anchors == {"A": first}


def test_an_import_over_recorded_entries_leads_to_no_other_anchor() -> None:
    first, imported, later = make_baseline(0.5), make_baseline(0.1, imported=True), make_baseline(0.2)
    assert walk(first, imported, later).anchors == {"A": first}
    assert walk(first, later, imported).anchors == {"A": first}


@pytest.mark.parametrize("change", [{"recorded": "2026-11-09"}, {"gated": 41, "plan": "0123456789ab"}])
def test_an_entry_of_another_day_or_plan_alone_is_the_first_release_again(change: dict[str, Any]) -> None:
    first = make_baseline(0.5, recorded="2026-11-01")
    assert walk(first, make_baseline(0.4), make_baseline(0.5, **change)).anchors == {}
    assert walk(first, make_baseline(0.5, **change)).anchors == {}


def test_the_same_entry_leaves_its_anchor_and_when_one_was_moved() -> None:
    walked = move_anchors(walk(make_baseline(0.5), make_baseline(0.4)), ["B"], "2026-11-01: other data")
    same = merge_files(walked, make_baseline_file({"A": make_baseline(0.4)}), "m.json", replace_recorded=True)
    assert same.content == walked


def test_a_moved_anchor_is_the_current_entry_and_later_ones_are_judged_by_it() -> None:
    moved = move_anchors(walk(make_baseline(0.5), make_baseline(0.4)), ["A"], "2026-11-01: other data")
    assert (moved.anchors, moved.moved) == ({}, {"A": "2026-11-01: other data"})
    later = merge_files(moved, make_baseline_file({"A": make_baseline(0.3)}), "m.json", replace_recorded=True).content
    assert (later.anchors, later.moved) == ({"A": make_baseline(0.4)}, moved.moved)
