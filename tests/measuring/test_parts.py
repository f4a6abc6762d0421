"""A corpus measured in parts: what they found, put together, is what a search of the whole finds."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.encoders import save_tiny_model
from touchstone.config.models import load_models
from touchstone.errors import ModelError
from touchstone.measuring.engines.local import LocalEngine
from touchstone.measuring.parts import Part, UnfinishedError, merge_rankings
from touchstone.models.kinds import find_model
from touchstone.records.cases import Case, TaskInfo
from touchstone.records.outcomes import Outcome
from touchstone.records.rankings import Ranking
from touchstone.store.folder import Store


def ranking(rows: Sequence[Sequence[tuple[float, str]]], queries: Sequence[str], part: str = "default") -> Ranking:
    """Make what a search found, each row in any order."""
    names = sorted({name for row in rows for _, name in row})
    return Ranking(
        task="T",
        split="test",
        subset=part,
        queries=queries,
        counts=np.array([len(row) for row in rows], np.int64),
        names=names,
        documents=np.array([names.index(name) for row in rows for _, name in row], np.int32),
        scores=np.array([score for row in rows for score, _ in row], np.float32),
    )


@given(st.data())
def test_the_best_of_all_are_the_best_of_the_best_of_each_part(data: st.DataObject) -> None:
    parts = data.draw(st.integers(1, 4))
    queries, depth = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 6))
    where = data.draw(st.lists(st.integers(0, parts - 1), min_size=1, max_size=20))
    scores = [[data.draw(st.sampled_from([-1.0, 0.0, 0.25, 0.5])) for _ in where] for _ in range(queries)]

    def best(rows: list[tuple[float, str]]) -> list[tuple[float, str]]:
        return sorted(rows, reverse=True)[:depth]

    names = [f"d{at}" for at in range(len(where))]
    found = [
        ranking([best([(row[at], names[at]) for at, part in enumerate(where) if part == number]) for row in scores],
                [f"q{at}" for at in range(queries)])
        for number in range(parts) if number in where
    ]  # fmt: skip
    merged = merge_rankings(found, depth)
    for (_, documents, values), row in zip(merged.rows(), scores, strict=True):
        expected = best(list(zip(row, names, strict=True)))
        assert list(zip(values.tolist(), [merged.names[d] for d in documents], strict=True)) == expected


def test_parts_of_a_corpus_that_was_not_divided_are_one() -> None:
    one = ranking([[(0.5, "a"), (0.25, "b")]], ["q"])
    assert merge_rankings([one, one, one], 10) is one


def test_parts_of_other_queries_are_refused() -> None:
    with pytest.raises(ModelError, match="the parts of T are of other queries"):
        merge_rankings([ranking([[(0.5, "a")]], ["q"]), ranking([[(0.5, "b")]], ["r"])], 10)


WORDS = ("river", "rain", "bread", "moon", "stone", "paper", "glass", "wheel", "harbour", "lamp")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, chosen = tmp_path_factory.mktemp("parts"), np.random.default_rng(5)
    save_tiny_model(folder / "tiny")
    texts = [" ".join(chosen.choice(WORDS, 5)) for _ in range(600)]
    texts[10:20] = texts[500:510]
    write(folder / "data", [{"_id": f"d{at}", "title": f"t{at % 7}", "text": text} for at, text in enumerate(texts)],
          [{"_id": f"q{at}", "text": texts[7 * at]} for at in range(40)])  # fmt: skip
    return folder


def write(folder: Path, documents: Sequence[dict[str, Any]], queries: Sequence[dict[str, Any]]) -> None:
    judged = [{"query-id": one["_id"], "corpus-id": f"d{7 * at}", "score": 1} for at, one in enumerate(queries)]
    for name, rows in (("corpus", documents), ("queries", queries), ("qrels/test", judged)):
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def case_of(folder: Path, data: str = "data") -> Case:
    task = TaskInfo(name="Mine", type="Retrieval", main_score="ndcg_at_10", folder=folder / data)
    return Case(alias="tiny", task=task, suite="mine")


def engine_of(folder: Path, store: Path, text: str = "tiny") -> LocalEngine:
    model = find_model(text, load_models(), folder, "--model")
    return LocalEngine({"tiny": replace(model, alias="tiny")}, "cpu", Store(store))


def outcome_of(engine: LocalEngine, case: Case, parts: int = 1) -> Outcome:
    with engine.measure(case, lambda _: None, parts=parts) as opened:
        assert opened.samples is not None
        assert opened.samples.value is not None
        return replace(opened.outcome, phases={}, speed=None, samples_file=str(opened.samples.value.tolist()))


@pytest.mark.parametrize("quantized", ["", "@quantize=int8"])
def test_in_parts_the_outcome_is_that_of_the_whole(folder: Path, tmp_path: Path, quantized: str) -> None:
    case = case_of(folder)
    whole = outcome_of(engine_of(folder, tmp_path / "whole", f"tiny{quantized}"), case)
    engine = engine_of(folder, tmp_path / "parts", f"tiny{quantized}")
    for number in (3, 1):
        engine.measure_part(case, Part(number=number, of=3), lambda _: None)
    with pytest.raises(UnfinishedError, match="parts 2/3 of its corpus are not in"):
        outcome_of(engine, case, 3)
    engine.measure_part(case, Part(number=2, of=3), lambda _: None)
    assert outcome_of(engine, case, 3) == whole


def test_a_part_that_is_there_is_not_measured_again(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    case, part = case_of(folder), Part(number=1, of=2)
    engine_of(folder, tmp_path).measure_part(case, part, lambda _: None)
    monkeypatch.setattr("touchstone.measuring.parts.measure_opened", None)
    engine_of(folder, tmp_path).measure_part(case, part, lambda _: None)


def test_a_small_corpus_is_searched_whole_by_each(folder: Path, tmp_path: Path) -> None:
    case, engine = case_of(folder), engine_of(folder, tmp_path / "parts")
    for number in range(1, 9):  # of which each would have 75 documents
        engine.measure_part(case, Part(number=number, of=8), lambda _: None)
    found, whole = outcome_of(engine, case, 8), outcome_of(engine_of(folder, tmp_path / "whole"), case)
    assert found.measurement == whole.measurement


def test_what_depends_on_the_whole_corpus_is_refused(folder: Path, tmp_path: Path) -> None:
    engine = engine_of(folder, tmp_path, "tiny@quantize=mteb-int8")
    with pytest.raises(ModelError, match="scores depend on all of it; raise --split-texts"):
        engine.measure_part(case_of(folder), Part(number=1, of=2), lambda _: None)
