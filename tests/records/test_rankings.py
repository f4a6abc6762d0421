"""What a search found comes back as it was: documents, scores, and the order between equals."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import touchstone.records.rankings
from touchstone.errors import TouchstoneError
from touchstone.records.rankings import Ranking, decode_rankings, encode_rankings

SCORES = st.floats(width=32, allow_nan=False) | st.floats(allow_nan=False)
FOUND = st.dictionaries(st.text(max_size=4), st.dictionaries(st.text(max_size=3), SCORES, max_size=5), min_size=1)


def encoded(rankings: Sequence[Ranking]) -> bytes:
    file = BytesIO()
    encode_rankings(rankings, file)
    return file.getvalue()


@given(found=st.lists(FOUND, min_size=1, max_size=3), at_once=st.integers(1, 3))
def test_rankings_come_back_as_they_were(found: list[dict[str, dict[str, float]]], at_once: int) -> None:
    taken = [Ranking.take("Task", "test", f"subset {number}", one) for number, one in enumerate(found)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(touchstone.records.rankings, "QUERIES_AT_ONCE", at_once)
        read = decode_rankings(encoded(taken))
    assert [(one.task, one.split, one.subset) for one in read] == [(one.task, one.split, one.subset) for one in taken]
    for was, now in zip(found, read, strict=True):
        assert now.results() == was
        assert [list(documents.items()) for documents in now.results().values()] == [
            list(documents.items()) for documents in was.values()
        ]


def test_the_best_of_equal_ones_are_those_found_first() -> None:
    found = {"q": {"b": 0.5, "a": 0.5, "c": 0.9, "d": 0.1}, "none": {}}
    ranking = Ranking.take("Task", "test", "default", found)
    assert ranking.best(2) == {"q": ["c", "b"], "none": []}
    assert ranking.best(9) == {"q": ["c", "b", "a", "d"], "none": []}


def test_what_is_taken_is_a_copy() -> None:
    found = {"q": {"a": 0.5}}
    ranking = Ranking.take("Task", "test", "default", found)
    found["q"].clear()
    assert ranking.results() == {"q": {"a": 0.5}}


def test_the_choice_is_that_of_mtebs_own_recipe(tmp_path: Path) -> None:
    """mteb reads predictions from a file; equal scores are put in the order of the file."""
    import json

    from mteb.mocks import mock_tasks as mocks

    task: Any = mocks.MockRetrievalTask()
    task.load_data()
    chosen = np.random.default_rng(1)
    found = {f"q{q}": {f"d{d}": float(chosen.integers(4)) for d in chosen.permutation(9)} for q in range(8)}
    predictions = {"mteb_model_meta": {}, "default": {"test": found, "train": found, "val": found}}
    (tmp_path / task.prediction_file_name).write_text(json.dumps(predictions))
    task.convert_to_reranking(tmp_path, top_k=4)
    theirs = task.dataset["default"]["test"]["top_ranked"]
    assert Ranking.take("Task", "test", "default", found).best(4) == dict(theirs)


@pytest.mark.parametrize("content", [b"", b"not Parquet at all"])
def test_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(TouchstoneError, match=r"^not a file of rankings: "):
        decode_rankings(content)
