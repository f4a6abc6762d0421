"""Metrics of summaries: how well similarities order the summaries of one text as people do."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from touchstone.metrics import Undefined
from touchstone.metrics.resampling import Floats, numbers


def per_text(
    gold: Sequence[ArrayLike], predicted: Sequence[ArrayLike], correlation: Callable[[Floats, Floats], float]
) -> Floats:
    """Correlate the scores of each text's summaries.

    Args:
        gold: people's scores of the summaries of each text.
        predicted: the model's scores of the same.
        correlation: one of `touchstone.metrics.correlation`.

    Returns:
        One correlation for each text; texts where either side is constant are left out, as in mteb.

    Raises:
        ValueError: the two sides differ in their numbers of texts or of summaries.
        Undefined: no text is left.
    """
    texts = [numbers(*sides) for sides in zip(gold, predicted, strict=True)]
    values = [correlation(x, y) for x, y in texts if min(len(np.unique(x)), len(np.unique(y))) > 1]
    if not values:
        raise Undefined("every text has constant scores")
    return np.array(values)
