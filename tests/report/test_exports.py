"""Folders of files for other tools, read back with these."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from mteb._hf_integration.eval_result_model import HFEvalResults

from tests.builders import DATA_REVISION, FINGERPRINT, make_row, make_run
from touchstone.errors import ConfigError
from touchstone.records.rankings import Ranking, encode_rankings
from touchstone.records.runs import Record
from touchstone.records.samples import Samples, encode_samples
from touchstone.report.exports.eval_results import write_entries
from touchstone.report.exports.trec import FORMAT, write_runs
from touchstone.report.formats import Target, find_target
from touchstone.store.folder import RANKINGS, Store

KNOWN: dict[str, Any] = {"fingerprint": FINGERPRINT, "dataset_revision": DATA_REVISION}
RETRIEVAL: dict[str, Any] = {"type": "Retrieval", "metric": "ndcg_at_10", **KNOWN}


def entries(file: Path) -> dict[str, Any]:
    data = yaml.safe_load(file.read_text())
    HFEvalResults.model_validate(data)  # mteb's own shape of the same file
    return {entry.task_id: entry for entry in parse_eval_result_entries(data)}


def test_entries_are_those_of_the_hub_with_where_the_number_is_from(tmp_path: Path) -> None:
    record = make_row("NFCorpus", score=0.3123456789, **RETRIEVAL, data_sha256="0" * 64)
    lines = write_entries(make_run(record), tmp_path, tmp_path)
    assert lines == (f"files written into {tmp_path}: 1",)
    found = entries(tmp_path / "NFCorpus.yaml")
    assert list(found) == ["NFCorpus_default_test", "NFCorpus"], "as mteb calls them"
    one = found["NFCorpus"]
    assert (one.dataset_id, one.dataset_revision) == ("mteb/nfcorpus", DATA_REVISION)
    assert one.value == 31.23457
    assert one.date == make_run().started
    assert one.source_url == "https://github.com/embeddings-benchmark/mteb/"
    assert one.source_name.startswith("touchstone-evals ")
    for part in ("ndcg_at_10", "minilm", record.model, record.revision, FINGERPRINT, "mteb 2.26.1", "0" * 64):
        assert part is not None
        assert part in one.notes


def test_a_task_of_which_some_subsets_were_measured_has_no_entry_as_a_whole(tmp_path: Path) -> None:
    record = make_row("STS17", score=0.7, **KNOWN)
    assert record.measurement is not None
    part = replace(record.measurement, subsets={"test/en-en": 0.8, "test/ar-ar": 0.6})
    write_entries(make_run(replace(record, measurement=part)), tmp_path, tmp_path)
    found = entries(tmp_path / "STS17.yaml")
    assert {name: one.value for name, one in found.items()} == {"STS17_en-en_test": 80.0, "STS17_ar-ar_test": 60.0}


def test_what_would_look_like_more_than_it_is_is_left_out_and_counted(tmp_path: Path) -> None:
    """STS12 was published by somebody, STS13 is a folder of the project's that is called so."""
    rows = [
        make_row("NFCorpus", score=0.3, **RETRIEVAL, limit=100),
        make_row("SciFact", **RETRIEVAL, outcome="not measured"),
        make_row("STS12", score=0.5, dataset_revision=DATA_REVISION),
        make_row("Mine", score=0.5, **KNOWN),
        make_row("STS13", score=0.5, fingerprint=FINGERPRINT),
        make_row("CQADupstackRetrieval", score=0.4, **RETRIEVAL),
    ]
    assert write_entries(make_run(*rows), tmp_path, tmp_path) == (
        f"files written into {tmp_path}: 0",
        "left out, not measured, 2: minilm:SciFact, minilm:STS12",
        "left out, measured in part, 1: minilm:NFCorpus",
        "left out, of no data set of the hub, 3: minilm:Mine, minilm:STS13, minilm:CQADupstackRetrieval",
    )
    assert not list(tmp_path.iterdir())


def test_each_of_several_models_has_a_folder(tmp_path: Path) -> None:
    rows = [make_row("STSBenchmark", alias=alias, score=0.5, **KNOWN) for alias in ("a", "b")]
    write_entries(make_run(*rows), tmp_path, tmp_path)
    assert [entries(tmp_path / alias / "STSBenchmark.yaml")["STSBenchmark"].value for alias in ("a", "b")] == [50, 50]


def test_a_retrieval_case_without_its_ranking_is_told(tmp_path: Path) -> None:
    rows = [make_row("NFCorpus", score=0.3, **RETRIEVAL), make_row("STSBenchmark", score=0.5)]
    assert write_runs(make_run(*rows), tmp_path / "runs", tmp_path) == (
        f"run files written into {tmp_path / 'runs'}: 0",
        "minilm:NFCorpus: no run file: the store has no samples of it, by which its ranking would be known",
    )


@pytest.mark.parametrize("text", ["runs/", "out/runs/", ".runs/"])
def test_a_folder_is_known_by_its_name_and_the_slash(tmp_path: Path, text: str) -> None:
    assert find_target("--report", tmp_path, text) == Target(format=FORMAT, path=tmp_path / text)


@pytest.mark.parametrize("text", ["runs", "other/", "runs/x/"])
def test_another_folder_is_no_report(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"its suffix says the format, one of .html, .json, .md, eval_results/, runs/"
    ):
        find_target("--report", tmp_path, text)


def test_a_file_in_the_place_of_a_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(ConfigError, match=r'^--report = "runs/" is a file; expected a folder$'):
        find_target("--report", tmp_path, "runs/")


def keep(folder: Path, found: Any, top: list[list[str]], **key: Any) -> Record:
    """Keep a ranking and the samples of a case in a store, and return the case's record."""
    store = Store(folder)
    ranking = Ranking.take("NFCorpus", "test", "default", found)
    said = {"task": "NFCorpus", "limit": None, "data": None, "revision": DATA_REVISION, "fingerprint": FINGERPRINT}
    store.put(RANKINGS, said | key, partial(encode_rankings, [ranking]))
    samples = Samples(type="Retrieval", metric="ndcg_at_10", stratum=np.array(["test/default"] * len(top)),
                      id=np.array(list(found)), value=np.zeros(len(top)), top=top)  # fmt: skip
    file = store.write_samples(FINGERPRINT, "NFCorpus", encode_samples(samples))
    return make_row("NFCorpus", score=0.3, samples=file, **RETRIEVAL)


FOUND = {"q1": {"q1": 0.9, "d2": 0.8, "d1": 0.1}, "q2": {"d3": 0.30000000000000004}}


def written(folder: Path, record: Record) -> list[str]:
    lines = write_runs(make_run(record), folder / "runs", folder)
    assert lines == (f"run files written into {folder / 'runs'}: 1",)
    return (folder / "runs" / "minilm.NFCorpus.test.default.run").read_text().splitlines()


def test_a_ranking_is_written_whole_with_all_digits_of_its_scores(tmp_path: Path) -> None:
    record = keep(tmp_path, FOUND, [["q1", "d2", "d1"], ["d3"]])
    assert written(tmp_path, record) == [
        "q1 Q0 q1 1 0.9 minilm", "q1 Q0 d2 2 0.8 minilm", "q1 Q0 d1 3 0.1 minilm",
        "q2 Q0 d3 1 0.30000000000000004 minilm",
    ]  # fmt: skip


def test_a_document_called_as_its_query_is_left_out_where_it_did_not_count(tmp_path: Path) -> None:
    record = keep(tmp_path, FOUND, [["d2", "d1"], ["d3"]])
    assert written(tmp_path, record) == [
        "q1 Q0 d2 1 0.8 minilm", "q1 Q0 d1 2 0.1 minilm", "q2 Q0 d3 1 0.30000000000000004 minilm",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("top", "key", "found", "why"),
    [
        ([["d1", "d2"], ["d3"]], {}, FOUND, "the store has no ranking of it; only what a model searched by itself"),
        ([["q1", "d2", "d1"], ["d3"]], {"data": "0" * 64}, FOUND, "the store has no ranking of it"),
        ([["d 1"]], {}, {"q1": {"d 1": 0.5}}, "an id is empty or has a space inside, for which the format has no room"),
    ],
)
def test_a_ranking_that_is_not_what_was_scored_is_not_written(
    tmp_path: Path, top: list[list[str]], key: dict[str, Any], found: Any, why: str
) -> None:
    record = keep(tmp_path, found, top, **key)
    count, note = write_runs(make_run(record), tmp_path / "runs", tmp_path)
    assert count.endswith(": 0")
    assert note.startswith(f"minilm:NFCorpus: no run file: {why}")
