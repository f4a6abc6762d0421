"""What a suite selects of mteb's tasks."""

from pathlib import Path

import pytest

from touchstone.config.suites import CustomTask, Selection
from touchstone.errors import ConfigError
from touchstone.tasks.catalog import find_tasks


def names(**keys: object) -> list[str]:
    return [info.name for info in find_tasks(Selection(**keys), "my.toml")]  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "count"), [("MTEB(eng, v1)", 56), ("MTEB(eng, v2)", 41), ("MTEB(cmn, v1)", 31)])
def test_benchmark_is_whole(name: str, count: int) -> None:
    assert len(names(benchmark=name)) == count


def test_benchmark_narrows_subsets_and_splits_as_the_leaderboard_does() -> None:
    (info,) = find_tasks(Selection(benchmark="MTEB(eng, v1)", include=("AmazonCounterfactual*",)), "my.toml")
    assert info.subsets == ("en",)
    assert info.splits == ("test",)
    assert info.language_codes == ("eng",)
    assert "MTEB(eng, v2)" in info.benchmarks


def test_exact_name_finds_a_superseded_task_and_a_glob_does_not() -> None:
    assert set(names(include=("NFCorpus", "SummEval"))) == {"NFCorpus", "SummEval"}
    assert "SummEval" not in names(include=("SummEval*",))
    assert "SummEvalSummarization.v2" in names(include=("SummEval*",))


def test_keys_intersect() -> None:
    found = names(benchmark="MTEB(eng, v2)", types=("STS",), exclude=("STS1[2-5]",))
    assert set(found) == {"BIOSSES", "SICK-R", "STSBenchmark", "STS17", "STS22.v2"}


def test_language_keeps_only_its_subsets() -> None:
    (info,) = find_tasks(Selection(include=("XQuADRetrieval",), languages=("deu", "spa")), "my.toml")
    assert info.subsets == ("de", "es")
    assert info.language_codes == ("deu", "spa")


def test_subsets_and_splits_are_narrowed_in_the_order_of_the_task() -> None:
    selection = Selection(
        include=("AmazonCounterfactualClassification",),
        subsets={"AmazonCounterfactualClassification": ("de", "en")},
        splits={"AmazonCounterfactualClassification": ("test",)},
    )
    (info,) = find_tasks(selection, "my.toml")
    assert info.strata == ("test/en", "test/de")
    assert info.language_codes == ("deu", "eng")


def test_aggregate_is_one_task_with_one_score() -> None:
    (info,) = find_tasks(Selection(include=("CQADupstackRetrieval",)), "my.toml")
    assert info.strata == ("test/default",)


def test_custom_tasks_are_added(tmp_path: Path) -> None:
    task = CustomTask(name="Mine", type="STS", path=tmp_path, language="deu-Latn")
    (info,) = find_tasks(Selection(custom=(task,)), "my.toml")
    assert (info.name, info.main_score, info.language_codes) == ("Mine", "cosine_spearman", ("deu",))


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"benchmark": "MTEB(eng)"}, 'is not a benchmark of mteb; did you mean "MTEB(eng, v2)"?'),
        ({"benchmark": "MTEB(eng,v2)"}, 'is not a benchmark of mteb; did you mean "MTEB(eng, v2)"?'),
        ({"include": ("NFCorpora",)}, 'include: "NFCorpora" is not a task of mteb; did you mean "NFCorpus"?'),
        (
            {"include": ("SmokeSTS",)},
            '"SmokeSTS" is not a task of mteb but of the suite smoke; to have SmokeSTS, add [[tasks.custom]] '
            'name = "SmokeSTS", type = "STS", path = "touchstone:similarity", or in Python "STS:touchstone:similarity"',
        ),
        ({"include": ("SmokeR*",)}, '"SmokeR*" is not a current task of mteb but of the suite smoke; to have SmokeR'),
        (
            {"benchmark": "MTEB(eng, v2)", "include": ("SmokeSTS",)},
            '"SmokeSTS" is not in "MTEB(eng, v2)" but of the suite smoke',
        ),
        ({"include": ("Nothing*",)}, 'include: "Nothing*" is not a current task of mteb'),
        ({"benchmark": "MTEB(eng, v2)", "include": ("NFCorpus",)}, '"NFCorpus" is not in "MTEB(eng, v2)"'),
        ({"types": ("Retreival",)}, 'types: "Retreival" is not a task type of mteb; did you mean "Retrieval"?'),
        ({"include": ("RTE3",), "languages": ("xyz",)}, 'languages: "xyz" is in none of the tasks'),
        ({"include": ("RTE3",), "exclude": ("NFCorpora",)}, 'matches no task of mteb; did you mean "NFCorpus"?'),
        ({"include": ("RTE3",), "exclude": ("RTE*",)}, "no task of mteb meets all the keys at once"),
        ({"include": ("RTE3",), "subsets": {"STS17": ("en",)}}, 'subsets: "STS17" is not selected by this suite'),
        ({"include": ("RTE3",), "subsets": {"RTE3": ("eng",)}}, 'RTE3 has no subset "eng"; did you mean "en"?'),
        ({"include": ("RTE3",), "splits": {"RTE3": ("tset",)}}, 'RTE3 has no split "tset"; did you mean "test"?'),
        ({"include": ("RTE3",), "subsets": {"RTE3": ()}}, "subsets: RTE3 has an empty list; expected"),
    ],
)
def test_wrong_selection_is_one_sentence(keys: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        names(**keys)
    assert str(caught.value).startswith("my.toml: [tasks] ")
    assert sentence in str(caught.value)


def test_custom_folder_that_is_missing_is_one_sentence(tmp_path: Path) -> None:
    task = CustomTask(name="Mine", type="STS", path=tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"^my.toml: \[\[tasks.custom\]\] Mine: there is no folder .*gone; paths "):
        find_tasks(Selection(custom=(task,)), "my.toml")
