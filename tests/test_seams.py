"""Private names of mteb: a new version in which one has moved is told by that name."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.test_layers import PACKAGE
from touchstone import seams
from touchstone.errors import ConfigError
from touchstone.seams import SEAMS, Seam, check_seams, hash_body, moved, replaced


def test_every_private_name_is_where_and_what_it_was() -> None:
    assert moved() == []


@pytest.mark.parametrize("seam", [
    Seam(place="mteb.nowhere:name"),
    Seam(place="mteb.models:SearchEncoderWrapper.nothing"),
    Seam(place="mteb._evaluators.retrieval_metrics:nauc", parameters=("conf_scores", "other")),
    Seam(place="mteb._evaluators.retrieval_metrics:nauc", body="0" * 16),
], ids=["module", "name", "parameter", "body"])  # fmt: skip
def test_what_moved_is_named(monkeypatch: pytest.MonkeyPatch, seam: Seam) -> None:
    monkeypatch.setattr(seams, "SEAMS", (*SEAMS, seam))
    (sentence,) = moved()
    assert sentence.startswith(seam.place)


def test_an_attribute_that_objects_no_longer_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seams, "ATTRIBUTES", {"mteb.abstasks:AbsTask": ("_eval_splits", "_gone")})
    assert moved() == ["mteb.abstasks:AbsTask: objects have no _gone"]


def test_an_untried_mteb_measures_only_where_nothing_has_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seams, "version", lambda _: "2.99.1")
    check_seams.cache_clear()
    check_seams()
    check_seams.cache_clear()
    monkeypatch.setattr(seams, "SEAMS", (Seam(place="mteb.models:Gone"),))
    with pytest.raises(
        ConfigError, match=r"^mteb 2\.99\.1: mteb.models:Gone: is not there; install one that was tried"
    ):
        check_seams()
    check_seams.cache_clear()


def test_a_tried_mteb_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked() -> Any:
        raise AssertionError

    monkeypatch.setattr(seams, "moved", looked)
    check_seams.cache_clear()
    check_seams()


def test_comments_and_docstrings_are_no_part_of_a_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    found = set()
    for number, code in enumerate(
        (
            'def one(x):\n    """Add."""\n    return x + 1\n',
            "def one(x):\n    # more\n    return (x + 1)\n",
            "def one(x):\n    return x + 2\n",
        )
    ):
        (tmp_path / f"made{number}.py").write_text(code)
        found.add(hash_body(import_module(f"made{number}").one))
    assert len(found) == 2


def test_no_other_module_reads_private_attributes_of_tasks() -> None:
    names = {name for found in seams.ATTRIBUTES.values() for name in found}
    names |= {seam.place.rpartition(".")[2] for seam in SEAMS if ":" in seam.place and "._" in seam.place}
    private = {name for name in names if name.startswith("_") and name.isidentifier()}
    assert len(private) >= 5
    for path in PACKAGE.rglob("*.py"):
        if path.name != "seams.py":
            text = path.read_text()
            assert not [name for name in private if f".{name} " in text or f".{name} = " in text], path


def test_a_class_method_that_was_replaced_is_one_again() -> None:
    class Base:
        @classmethod
        def name(cls) -> str:
            return cls.__name__

    class Derived(Base):
        pass

    with replaced(Base, "name", value=classmethod(lambda _: "other")):
        assert Derived.name() == "other"
    assert Derived.name() == "Derived"


@pytest.mark.parametrize("enabled", [False, True])
def test_progress_bars_are_as_they_were_once_a_case_is_done(enabled: bool) -> None:
    import datasets

    was_disabled = datasets.are_progress_bars_disabled()
    (datasets.enable_progress_bars if enabled else datasets.disable_progress_bars)()
    try:
        with seams.no_progress_bars():
            assert datasets.are_progress_bars_disabled()
        assert datasets.are_progress_bars_disabled() != enabled
    finally:
        (datasets.disable_progress_bars if was_disabled else datasets.enable_progress_bars)()
