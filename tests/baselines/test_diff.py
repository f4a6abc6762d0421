"""Baselines side by side: aliases, folders, and commits of a real repository."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import make_baseline, make_baseline_file
from touchstone.baselines.diff import differ, load_sides
from touchstone.baselines.files import Baselines, render_baseline_file
from touchstone.errors import BaselineError
from touchstone.records.baselines import Baseline


def put(folder: Path, alias: str, tasks: Mapping[str, Baseline]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = render_baseline_file(make_baseline_file(tasks))
    (folder / f"{alias}.json").write_text(text, encoding="utf-8")


def git(folder: Path, *arguments: str, content: bytes = b"") -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, input=content)
    return done.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A project whose committed baseline has since changed, in a sub-folder of its repository."""
    project = tmp_path / "project"
    put(project / "baselines", "a", {"STS16": make_baseline(0.7), "Gone": make_baseline(0.5)})
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    put(project / "baselines", "a", {"STS16": make_baseline(0.8), "New": make_baseline(0.5)})
    return project


def own(folder: Path) -> Baselines:
    return Baselines(folder / "baselines", built_in=folder / "nothing built in")


def test_a_commit_against_the_working_tree(repository: Path) -> None:
    found = load_sides("HEAD", None, own(repository), repository)
    assert [(row.name, row.before.score, row.after.score) for row in found.rows] == [("a:STS16", 0.7, 0.8)]
    assert found.rows[0].delta == pytest.approx(0.1)
    assert (found.only_before, found.only_after) == (("a:Gone",), ("a:New",))


def test_two_folders(tmp_path: Path) -> None:
    put(tmp_path / "x", "a", {"STS16": make_baseline(0.7)})
    put(tmp_path / "y", "a", {"STS16": make_baseline(0.6)})
    assert load_sides("x", "y", own(tmp_path), tmp_path).rows[0].delta == pytest.approx(-0.1)


def test_two_models(tmp_path: Path) -> None:
    put(tmp_path / "baselines", "a", {"STS16": make_baseline(0.7)})
    put(tmp_path / "baselines", "b", {"STS16": make_baseline(0.6), "STS13": make_baseline(0.5)})
    found = load_sides("a", "b", own(tmp_path), tmp_path)
    assert [row.name for row in found.rows] == ["STS16"]
    assert found.only_after == ("STS13",)


def test_the_side_without_baselines_is_told_and_the_other_is_no_suggestion(tmp_path: Path) -> None:
    put(tmp_path / "baselines", "acme", {"STS16": make_baseline(0.7)})
    for sides in (("acme", "acme11"), ("acme11", "acme")):
        with pytest.raises(BaselineError, match=r'^"acme11" is no model with baselines, no folder, and no commit of '):
            load_sides(*sides, own(tmp_path), tmp_path)
    with pytest.raises(BaselineError, match=r'^"acme11" (?!.*"acme")'):
        load_sides("acme", "acme11", own(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("a", r'^"a" is one model; compare it with another one, or two folders, or a commit$'),
        ("HEAD~99", r'^"HEAD~99" is no model with baselines, no folder, and no commit of '),
        ("aa", r'did you mean "a"\?$|known: a$'),
        ("--help", r'^"--help" is no model'),
        ("--output=x", r'^"--output=x" is no model'),
        ("-", r'^"-" is no model'),
        ("~nobody-here/x", r'^"~nobody-here/x" is no model'),
        ("HEAD\nx: y", r'^"HEAD x: y" is no model'),
        ("HEAD:../..", r'^"HEAD:../.." is no model'),
        ("HEAD:project", r'^"HEAD:project" is no model'),
        ("HEAD\0", r'^"HEAD\\x00" is no model'),
        ("\udcff", r'^"\\udcff" is no model'),
        ("../../etc", r'^"../../etc" is no model'),
    ],
)
def test_a_side_that_is_nothing_is_one_sentence(repository: Path, before: str, message: str) -> None:
    with pytest.raises(BaselineError, match=message):
        load_sides(before, None, own(repository), repository)


def test_a_commit_without_baselines_says_so(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("x", encoding="utf-8")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    put(tmp_path / "baselines", "a", {"STS16": make_baseline(0.7)})
    with pytest.raises(BaselineError, match=r"^HEAD has no baselines in baselines$"):
        load_sides("HEAD", None, own(tmp_path), tmp_path)


@pytest.mark.parametrize(
    "entry",
    [
        "120000 blob {blob}\tx.json", "160000 commit {commit}\tx.json", "040000 tree {tree}\tx.json",
        "100644 blob {blob}\tx\x1b[2J.json", "100644 blob {blob}\tx\ny.json", "100644 blob {blob}\t-x.json",
        "100644 blob {blob}\t.json", "100644 blob {blob}\t\udcff.json", "100644 blob {blob}\tx.JSON",
    ],
)  # fmt: skip
def test_what_is_no_baseline_file_in_a_commit_is_left_out(repository: Path, entry: str) -> None:
    commit = make_commit(repository, [entry, "100644 blob {blob}\tb.json"])
    found = load_sides(commit, None, own(repository), repository)
    assert found.only_before == ("b:Gone", "b:STS16")


@pytest.mark.parametrize("name", ["../x.json", "/x.json", "a/../../x.json"])
def test_a_name_that_climbs_leads_to_its_end_alone(repository: Path, name: str) -> None:
    """The content is read by its hash, and no path is ever made of a name."""
    commit = make_commit(repository, [f"100644 blob {{blob}}\t{name}"])
    assert load_sides(commit, None, own(repository), repository).only_before == ("x:Gone", "x:STS16")


def make_commit(folder: Path, entries: list[str]) -> str:
    """Commit a tree of the project's baselines that no git would make by itself."""
    ids = {name: git(folder, "rev-parse", f"HEAD{place}") for name, place in PLACES.items()}
    tree = write_tree(folder, [entry.format(**ids) for entry in entries])
    for name in ("baselines", "project"):
        tree = write_tree(folder, [f"40000 tree {tree}\t{name}"])
    return git(folder, "commit-tree", tree, "-m", "made")


PLACES = {"blob": ":project/baselines/a.json", "tree": ":project", "commit": ""}


def write_tree(folder: Path, entries: list[str]) -> str:
    parts = (entry.partition("\t")[::2] for entry in entries)
    split = [(said.split(), os.fsencode(name)) for said, name in parts]
    content = b"".join(mode.lstrip("0").encode() + b" " + name + b"\0" + bytes.fromhex(one)
                       for (mode, _, one), name in sorted(split, key=lambda pair: pair[1]))  # fmt: skip
    return git(folder, "hash-object", "-t", "tree", "--literally", "-w", "--stdin", content=content)


def test_scores_are_compared_over_the_strata_that_both_have() -> None:
    before = {"STS17": make_baseline({"test/en-en": 0.9, "test/ko-ko": 0.1})}
    row = differ(before, {"STS17": make_baseline({"test/en-en": 0.8})}).rows[0]
    assert row.delta == pytest.approx(-0.1)
    assert (row.scores, row.note) == ((0.9, 0.8), "over test/en-en")


def test_what_cannot_be_compared_comes_first_and_says_why() -> None:
    before = {"A": make_baseline(0.9), "B": make_baseline(0.5), "C": make_baseline({"dev/default": 0.5})}
    after = {"A": make_baseline(0.2), "B": make_baseline(0.5, metric="max_ap"), "C": make_baseline(0.5)}
    rows = {row.name: row for row in differ(before, after).rows}
    assert list(rows)[-1] == "A"
    assert (rows["B"].delta, rows["B"].note) == (None, "cosine_spearman against max_ap")
    assert (rows["C"].delta, rows["C"].note) == (None, "no split and subset in common")


def test_another_data_revision_is_told() -> None:
    row = differ({"A": make_baseline(0.5)}, {"A": make_baseline(0.5, dataset_revision="other")}).rows[0]
    assert row.note == "other data revision"


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=8))
def test_what_changed_most_comes_first_and_turning_round_turns_the_sign(scores: list[tuple[float, float]]) -> None:
    before = {f"T{i}": make_baseline(a) for i, (a, _) in enumerate(scores)}
    after = {f"T{i}": make_baseline(b) for i, (_, b) in enumerate(scores)}
    sizes = [abs(row.delta or 0) for row in differ(before, after).rows]
    assert sizes == sorted(sizes, reverse=True)
    there = {row.name: row.delta for row in differ(before, after).rows}
    back = {row.name: row.delta for row in differ(after, before).rows}
    assert {name: -(delta or 0) for name, delta in back.items()} == pytest.approx(there)
