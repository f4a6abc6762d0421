"""One vector or score for each input, in the order of the inputs, or a refusal."""

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from touchstone.models.api.answers import Vectors, read_scores, read_vectors

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)
SOME = arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=FINITE)


def answer(*vectors: Any) -> dict[str, Any]:
    return {"data": [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]}


@given(SOME, st.randoms(use_true_random=False), st.booleans())
def test_any_order_and_encoding_gives_the_same_vectors(vectors: Vectors, chance: Any, packed: bool) -> None:
    rows = [base64.b64encode(row.astype("<f4").tobytes()).decode() if packed else row.tolist() for row in vectors]
    said = answer(*rows)
    chance.shuffle(said["data"])
    read = read_vectors(json.loads(json.dumps(said)), len(vectors))
    assert read.dtype == np.float32
    assert np.array_equal(read, vectors)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, 'answered without a list "data"'),
        ([], 'answered without a list "data"'),
        ({"data": {}}, 'answered without a list "data"'),
        (answer([1.0]), "gave 1 vectors for 2 inputs"),
        (answer([1.0], [1.0], [1.0]), "gave 3 vectors for 2 inputs"),
        ({"data": [{"index": 0, "embedding": [1.0]}] * 2}, "gave index 0 twice"),
        ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 2, "embedding": [1.0]}]}, "gave index 2 for 2 inputs"),
        ({"data": [{"index": 0, "embedding": [1.0]}, {"index": -1, "embedding": [1.0]}]}, "gave index -1 for 2 inputs"),
        ({"data": [{"embedding": [1.0]}] * 2}, 'gave vectors without "index", whose order cannot be checked'),
        ({"data": [{"index": True, "embedding": [1.0]}] * 2}, 'gave vectors without "index", whose order cannot be '
         "checked"),
        ({"data": [[1.0], [2.0]]}, 'gave vectors without "index", whose order cannot be checked'),
        (answer([1.0, 2.0], [1.0]), "gave vectors of 1 and of 2 dimensions in one answer"),
        (answer([], []), "gave empty vectors"),
        (answer([1.0], [float("nan")]), "gave NaN or infinite numbers"),
        (answer([1.0], [float("-inf")]), "gave NaN or infinite numbers"),
        (answer([1.0], [1e300]), "gave NaN or infinite numbers"),
        (answer([1.0], [10**400]), "gave NaN or infinite numbers"),
        (answer([1.0], [json.loads("1e400")]), "gave NaN or infinite numbers"),
        (answer([1.0], [json.loads("NaN")]), "gave NaN or infinite numbers"),
        (answer([1.0], [json.loads("-Infinity")]), "gave NaN or infinite numbers"),
        (answer([1.0], ["x" * 1_000_000] + [""] * 1_000_000), "gave a vector that is neither numbers nor base64"),
        (answer([1.0], [1.0, "1"]), "gave a vector that is neither numbers nor base64"),
        (answer([1.0], [{}]), "gave a vector that is neither numbers nor base64"),
        (answer([1.0], "\ud800"), "gave a vector that is neither numbers nor base64"),
        ({"data": [{"index": 0}, {"index": 10**50}]}, f"gave index {'1' + '0' * 18}… for 2 inputs"),
        ({"data": [{"index": 10**50}] * 2}, f"gave index {'1' + '0' * 18}… twice"),
        (answer([1.0], [None]), "gave a vector that is neither numbers nor base64"),
        (answer([1.0], ["1"]), "gave a vector that is neither numbers nor base64"),
        (answer([1.0], [True]), "gave a vector that is neither numbers nor base64"),
        (answer([1.0], [[1.0], [1.0, 2.0]]), "gave a vector that is neither numbers nor base64"),
        (answer([1.0], [[1.0]]), "gave a vector that is neither numbers nor base64"),
        (answer([1.0], 1.0), "gave a vector that is neither numbers nor base64"),
        (answer([1.0], None), "gave a vector that is neither numbers nor base64"),
        (answer([1.0], "%"), "gave a vector that is neither numbers nor base64"),
        (answer([1.0], "AAAAAAA="), "gave a vector whose base64 is not of 32-bit floats"),
        (answer([1.0], base64.b64encode(np.array([np.nan], "<f4").tobytes()).decode()), "gave NaN or infinite numbers"),
    ],
)  # fmt: skip
def test_what_is_not_a_vector_for_each_text_is_refused(said: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=r"^(gave|answered) ") as caught:
        read_vectors(said, 2)
    assert str(caught.value) == expected


@pytest.mark.parametrize("places", [[None], [None, 1], [2, None, 1], [1, 2, 3, None]])
def test_an_index_of_0_may_be_left_out(places: list[int | None]) -> None:
    """As some servers leave out all that is 0."""
    items = [{"embedding": [place or 0]} | ({} if place is None else {"index": place}) for place in places]
    assert read_vectors({"data": items}, len(items)).tolist() == [[place] for place in range(len(items))]
    scored = [{"score": item.pop("embedding")[0]} | item for item in items]  # type: ignore[index]
    assert read_scores(scored, len(items)) == list(range(len(items)))


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([0, None], 'gave vectors without "index", whose order cannot be checked'),
        ([None, 0], "gave index 0 twice"),
        ([None, None, 1], 'gave vectors without "index", whose order cannot be checked'),
        ([None, None, None], 'gave vectors without "index", whose order cannot be checked'),
        ([None, 1, 1], "gave index 1 twice"),
        ([None, 1, 3], "gave index 3 for 3 inputs"),
        ([-1, 1, None], "gave index -1 for 3 inputs"),
        (["0", 1, None], 'gave vectors without "index", whose order cannot be checked'),
    ],
)
def test_no_other_index_may_be_left_out(places: list[Any], expected: str) -> None:
    items = [{"embedding": [1.0]} | ({} if place is None else {"index": place}) for place in places]
    with pytest.raises(ValueError, match=r"^gave ") as caught:
        read_vectors({"data": items}, len(items))
    assert str(caught.value) == expected


def test_an_index_that_is_null_is_not_left_out() -> None:
    with pytest.raises(ValueError, match=r"^gave vectors without"):
        read_vectors({"data": [{"index": None, "embedding": [1.0]}]}, 1)


@pytest.mark.parametrize("key", ["relevance_score", "score"])
def test_scores_are_put_in_the_order_of_the_documents(key: str) -> None:
    results = [{"index": 2, key: 0.9}, {"index": 0, key: 0.5}, {"index": 1, key: -3}]
    assert read_scores({"results": results}, 3) == [0.5, -3.0, 0.9]
    assert read_scores(results, 3) == [0.5, -3.0, 0.9]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"data": []}, 'answered without a list "results"'),
        ([{"index": 0, "score": 1.0}], "gave 1 scores for 2 inputs"),
        ([{"index": 0, "score": 1.0}, {"index": 0, "score": 1.0}], "gave index 0 twice"),
        ([{"index": 0, "score": 1.0}, {"index": 1, "score": "1"}], "gave a score that is no number"),
        ([{"index": 0, "score": 1.0}, {"index": 1, "score": True}], "gave a score that is no number"),
        ([{"index": 0, "score": 1.0}, {"index": 1}], "gave a score that is no number"),
        ([{"index": 0, "score": 1.0}, {"index": 1, "score": 10**4000}], "gave NaN or infinite numbers"),
        ([{"index": 0, "score": 1.0}, {"index": 1, "score": json.loads("1e400")}], "gave NaN or infinite numbers"),
        ([{"index": 0, "score": 1.0}, {"index": 1, "score": float("nan")}], "gave NaN or infinite numbers"),
    ],
)
def test_what_is_not_a_score_for_each_document_is_refused(said: Any, expected: str) -> None:
    with pytest.raises(ValueError, match=r"^(gave|answered) ") as caught:
        read_scores(said, 2)
    assert str(caught.value) == expected
