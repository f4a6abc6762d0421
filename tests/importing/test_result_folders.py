import subprocess
from pathlib import Path

import pytest

from tests.importing.documents import make_result, write_results
from touchstone.errors import BaselineError
from touchstone.importing.results import find_folder, name_source

A, B = "a" * 40, "b" * 40
COMMIT = "f4cc6c8b00112233445566778899aabbccddeeff"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of two models: one at two revisions and as a copy of its card, one at one."""
    results = tmp_path / "results"
    write_results(results / "org__one" / A, make_result("NFCorpus"), make_result("SciFact"))
    write_results(results / "org__one" / B, make_result("ArguAna"))
    write_results(results / "org__one" / "external", make_result("NFCorpus"))
    write_results(results / "org__one" / ("c" * 40))  # metadata alone
    write_results(results / "two" / "no_revision_available", make_result("NFCorpus"), meta=False)
    (results / "paths.json").write_text("{}")
    return tmp_path


def found(path: Path, revision: str | None = None, *, external: bool = False) -> tuple[str, str, list[str]]:
    folder = find_folder(path, revision, include_external=external)
    return folder.model, folder.revision, [file.name for file in folder.files]


ONE = ("org/one", A, ["NFCorpus.json", "SciFact.json"])


@pytest.mark.parametrize("inside", [".", f"results/org__one/{A}", "results/org__one"])
@pytest.mark.parametrize("revision", [A, A[:7]])
def test_a_revision_is_found_from_any_depth(tree: Path, inside: str, revision: str) -> None:
    assert found(tree / inside, revision) == ONE


def test_the_only_revision_is_taken_unasked(tree: Path) -> None:
    assert found(tree / "results" / "org__one" / A) == ONE
    assert found(tree / "results" / "two") == ("two", "no_revision_available", ["NFCorpus.json"])
    assert found(tree / "results" / "org__one" / A / "SciFact.json") == ("org/one", A, ["SciFact.json"])


def test_a_copy_of_a_card_is_taken_only_when_asked_for(tree: Path) -> None:
    path = tree / "results" / "org__one"
    assert found(path, "external", external=True)[1] == "external"
    assert found(path / "external", external=True)[1] == "external"
    for source, revision in ((path, "external"), (path / "external", None)):
        with pytest.raises(BaselineError) as caught:
            find_folder(source, revision, include_external=False)
        assert str(caught.value) == (
            f"{source}: org/one at external (1 file) is a copy of a model card, not measured by mteb; "
            "import the card, or take the copy with --include-external"
        )


def test_several_sets_are_named_with_their_files(tree: Path) -> None:
    with pytest.raises(BaselineError) as caught:
        find_folder(tree / "results" / "org__one", None, include_external=False)
    assert str(caught.value).endswith(
        f"has 2 sets of results: org/one at {A} (2 files); org/one at {B} (1 file); name one with --revision"
    )
    with pytest.raises(BaselineError, match=r"has 3 sets of results: .*; give the folder of one model$"):
        find_folder(tree, None, include_external=False)
    with pytest.raises(BaselineError, match=r"has 3 sets of results: .*external"):
        find_folder(tree / "results" / "org__one", None, include_external=True)


@pytest.mark.parametrize("revision", ["c" * 40, "aaa", "d" * 7])
def test_a_revision_that_is_not_there_is_refused(tree: Path, revision: str) -> None:
    with pytest.raises(BaselineError, match=f'--revision = "{revision}" is not there'):
        find_folder(tree, revision, include_external=False)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"has no result files of mteb, as in <model>/<revision>/<Task>\.json$"):
        find_folder(tmp_path, None, include_external=False)


@pytest.mark.parametrize("packed", [False, True])
def test_a_clone_of_the_repository_is_named_by_its_commit(tree: Path, packed: bool) -> None:
    who = ("-c", "user.name=x", "-c", "user.email=x@x")
    for words in (
        ("init", "-q"),
        (*who, "commit", "-q", "--allow-empty", "-m", "x"),
        *[("pack-refs", "--all")] * packed,
    ):
        subprocess.run(["git", *words], cwd=tree, check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tree, check=True, capture_output=True, text=True).stdout[
        :8
    ]
    assert name_source(find_folder(tree, A, include_external=False)) == f"results-repo@{commit}"
    assert name_source(find_folder(tree, "external", include_external=True)) == f"results-repo@{commit}/external"
    subprocess.run(["git", "checkout", "-q", "--detach"], cwd=tree, check=True)
    assert name_source(find_folder(tree, A, include_external=False)) == f"results-repo@{commit}"


@pytest.mark.parametrize(
    ("revision", "source"),
    [(A, "results-repo@aaaaaaaa"), ("external", "results-repo@external")],
)
def test_any_other_tree_is_named_by_the_revision_not_by_its_place(tree: Path, revision: str, source: str) -> None:
    assert name_source(find_folder(tree, revision, include_external=True)) == source
