"""What a report gets beside the run: the samples that changed, or why they are not known."""

from pathlib import Path

import pytest

from tests.builders import ENV, make_run
from tests.session.test_compare import load, record, write_run
from tests.session.test_update import samples
from touchstone.baselines.files import Baselines
from touchstone.errors import TouchstoneError
from touchstone.records.examples import Changed
from touchstone.records.runs import Record
from touchstone.records.samples import encode_samples
from touchstone.records.verdicts import Terms
from touchstone.report.formats import ReportFormat, Target
from touchstone.session.compare import compare, find_samples
from touchstone.session.reports import find_pair, write_report
from touchstone.store.folder import Store


@pytest.fixture
def case(tmp_path: Path) -> Record:
    """A case whose samples the store has, judged by the baseline that is in the project's folder."""
    store = Store(tmp_path / "store")
    before, after = (store.write_samples("f" * 12, "SciFact", encode_samples(samples(score))) for score in (0.8, 0.7))
    baselines(tmp_path).write([record("SciFact", 0.8, before, alias="old")], ENV, store)
    return record("SciFact", 0.7, after, alias="new", baseline=0.8, delta=-0.1, terms=Terms(against="old"))


def baselines(folder: Path) -> Baselines:
    return Baselines(folder / "own", folder / "none")


def test_a_case_is_paired_with_the_baseline_that_it_was_judged_by(case: Record, tmp_path: Path) -> None:
    here, there = find_pair(case, [tmp_path / "other", tmp_path / "store"], baselines(tmp_path))

    assert here.value is not None
    assert there.value is not None
    assert (here.value.mean(), there.value.mean()) == (0.7, 0.8)


@pytest.mark.parametrize(
    ("changes", "stores", "reason"),
    [
        ({}, ["other"], "the store does not have its samples"),
        ({"baseline": 0.81}, ["store"], "the baseline that it was judged by is not here any more"),
        ({"terms": Terms(against="gone")}, ["store"], "the baseline that it was judged by is not here any more"),
        ({"terms": None}, ["store"], "the baseline that it was judged by is not here any more"),
        ({"limit": 9}, ["store"], "the baseline that it was judged by is not here any more"),
    ],
)
def test_what_is_not_there_is_said(
    changes: dict[str, object], stores: list[str], reason: str, case: Record, tmp_path: Path
) -> None:
    other = record("SciFact", 0.7, case.samples, alias="new", **{"baseline": 0.8, "terms": case.terms} | changes)
    with pytest.raises(TouchstoneError, match=reason):
        find_pair(other, [tmp_path / name for name in stores], baselines(tmp_path))


def test_a_format_gets_what_changed_of_each_case_or_the_reason(case: Record, tmp_path: Path) -> None:
    def pairs(one: Record) -> tuple[object, object]:
        if one.alias == "lost":
            raise TouchstoneError("the reason")
        return samples(0.7), samples(0.8)

    got: dict[str, Changed | str] = {}
    form = ReportFormat(name=".x", history=True, render_changed=lambda _run, _, changed: str(got.update(changed)))
    rows = [case, record("SciFact", 0.7, None, alias="lost", baseline=0.8), record("SciFact", 0.7, None, alias="new2")]
    write_report(Target(format=form, path=tmp_path / "a.x"), make_run(*rows), tmp_path, pairs)  # type: ignore[arg-type]

    listed = got.pop("new:SciFact")
    assert isinstance(listed, Changed)
    assert len(listed.ids) == 40
    assert got == {"lost:SciFact": "the reason"}


def test_stored_sides_are_paired_by_their_case(tmp_path: Path) -> None:
    sides = [write_run(tmp_path, "a.json", 0.8), write_run(tmp_path, "b.json", 0.7)]
    here, there = find_samples(sides, compare(*sides)[0])

    assert here.value is not None
    assert there.value is not None
    assert (here.value.mean(), there.value.mean()) == (0.7, 0.8)
    write_run(tmp_path, "b.json", 0.7, keep=False)
    (tmp_path / "store" / "samples").rename(tmp_path / "gone")
    with pytest.raises(TouchstoneError, match="not kept of both sides"):
        find_samples([sides[0], load(tmp_path, "b.json")], compare(*sides)[0])
