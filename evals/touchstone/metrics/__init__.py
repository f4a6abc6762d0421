"""The metrics of MTEB in numpy alone: a second opinion on mteb's numbers, and fast under resampling.

Map:
    ranking: nDCG, average precision, reciprocal rank, recall, precision, hit rate of ranked documents.
    labels: accuracy and F1 of classes (of matched sentences, too); average precision; F1 of several labels per sample.
    pairs: best accuracy over the thresholds of a similarity.
    correlation: Spearman, Kendall.
    clustering: homogeneity, completeness, V-measure, adjusted mutual information.
    resampling: what the others share: checked input, and one value for each vector of weights.
"""


class Undefined(ValueError):  # noqa: N818
    """The metric has no value for this input: a correlation with a constant, a precision without a positive."""
