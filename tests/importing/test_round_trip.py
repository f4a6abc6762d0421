"""What is exported and imported again is the same baseline, to the digits that each format has."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard, ModelCardData
from mteb.results import TaskResult

from tests.builders import DATA_REVISION, FINGERPRINT, make_row, make_run
from touchstone.importing.reading import read_source
from touchstone.importing.request import Request
from touchstone.report.exports.eval_results import write_entries

# By task: its main score, the subsets of its test split, and their scores; one below a point, which may be a fraction.
TASKS = {
    "STS17": ("cosine_spearman", "STS", {"en-en": 0.876543219, "ko-ko": 0.004321, "ar-ar": 0.25, "en-de": 1 / 3}),
    "NFCorpus": ("ndcg_at_10", "Retrieval", {"default": 0.3123456789}),
    "Banking77Classification": ("accuracy", "Classification", {"default": 0.8}),
}


def result_of(name: str) -> TaskResult:
    metric, _, scores = TASKS[name]
    said: list[Any] = [
        {"main_score": score, metric: score, "hf_subset": subset, "languages": ["eng-Latn"]}
        for subset, score in scores.items()
    ]
    return TaskResult(dataset_revision=DATA_REVISION, task_name=name, mteb_version="2.26.24", scores={"test": said},
                      evaluation_time=1.0)  # fmt: skip


def as_tree(folder: Path) -> Path:
    for name in TASKS:
        path = folder / "results" / "org__some" / "abc1234" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        result_of(name).to_disk(path)
    return folder / "results"


def as_card(folder: Path) -> Path:
    found = [one for name in TASKS for one in result_of(name).get_hf_eval_results()]
    path = folder / "some.md"
    ModelCard.from_template(
        ModelCardData(model_name="some", eval_results=found), template_str="---\n{{ card_data }}\n---\n"
    ).save(path)
    return path


def as_eval_results(folder: Path) -> Path:
    rows = [
        make_row(name, metric=metric, type=type_name, score=sum(scores.values()) / len(scores),
                 subsets={f"test/{subset}": score for subset, score in scores.items()},
                 fingerprint=FINGERPRINT, dataset_revision=DATA_REVISION)
        for name, (metric, type_name, scores) in TASKS.items()
    ]  # fmt: skip
    write_entries(make_run(*rows), folder / "some" / ".eval_results", folder)
    return folder / "some"


@pytest.mark.parametrize(
    ("export", "digits"), [(as_tree, 1e-6), (as_card, 1e-9), (as_eval_results, 1e-7)], ids=["tree", "card", "hub"]
)
@pytest.mark.filterwarnings("ignore:HF deprecated")
def test_what_is_exported_is_imported_as_the_same_numbers(
    tmp_path: Path, export: Callable[[Path], Path], digits: float
) -> None:
    source = export(tmp_path)
    (found,) = read_source(Request(source=str(source), folder=tmp_path, alias="some"))
    for name, (metric, _, scores) in TASKS.items():
        entry = found.entries[name]
        assert entry.metric == metric
        if export is not as_card:  # mteb writes today's revision of the data into a card, whatever the result's was
            assert entry.dataset_revision == DATA_REVISION
        expected = {f"test/{subset}": score for subset, score in scores.items()}
        assert dict(entry.subsets) == pytest.approx(expected, abs=digits)
