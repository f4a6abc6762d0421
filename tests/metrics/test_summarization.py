from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from touchstone.metrics import Undefined
from touchstone.metrics.correlation import kendall, pearson, spearman
from touchstone.metrics.summarization import per_text

SCIPY = {pearson: scipy.stats.pearsonr, spearman: scipy.stats.spearmanr, kendall: scipy.stats.kendalltau}
pair = st.tuples(st.integers(0, 2).map(float), st.integers(0, 2).map(float))
texts = st.lists(st.lists(pair, min_size=1, max_size=6), max_size=5)


@pytest.mark.parametrize("correlation", list(SCIPY))
@given(texts)
def test_texts_with_a_constant_side_are_left_out(correlation: Any, drawn: list[list[tuple[float, float]]]) -> None:
    gold, predicted = ([[pair[side] for pair in text] for text in drawn] for side in (0, 1))
    varied = [(x, y) for x, y in zip(gold, predicted, strict=True) if len(set(x)) > 1 and len(set(y)) > 1]
    if varied:
        values = per_text(gold, predicted, correlation)
        assert values.dtype == np.float64
        assert values == pytest.approx([SCIPY[correlation](x, y).statistic for x, y in varied], abs=1e-12)
    else:
        with pytest.raises(Undefined, match="every text"):
            per_text(gold, predicted, correlation)


def test_sides_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        per_text([[1, 2]], [[1, 2], [1, 2]], pearson)
    with pytest.raises(ValueError, match="one shape"):
        per_text([[1, 2]], [[1, 2, 3]], pearson)
