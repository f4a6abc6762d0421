"""Specifications of models that search in their own way, or are made of other models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from touchstone.config.base import Spec, check_counts, check_values
from touchstone.files.validation import Number, Strict, WholeNumber
from touchstone.own_code import check_reference

Provides = Literal["encode", "search", "rerank"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bm25Spec(Spec, Strict):
    """BM25, mteb's ``mteb/baseline-bm25s``: stop words and stemmer are those of a task's language."""

    kind: Literal["bm25"] = "bm25"
    method: Literal["lucene", "robertson", "atire"] = "lucene"
    """The formula."""
    k1: Number = 1.5
    """Of the formula: how soon repeated words stop counting."""
    b: Number = 0.75
    """Of the formula: how much the length of a document counts."""
    delta: Number = 0.5
    """Of the formula, for variants that have it."""
    stopwords: str | None = None
    """The stop words of bm25s, for any language; without it, those of the task's language."""
    stemmer: str | None = None
    """The stemmer of PyStemmer, for any language; without it, that of the task's language."""
    frequent: Number = 0.9
    """Where a language has no stop words, tokens in at least this share of all documents count as stop words."""

    def __post_init__(self) -> None:
        for name, highest in (("k1", 100.0), ("b", 1.0), ("delta", 100.0), ("frequent", 1.0)):
            if not 0 <= (value := getattr(self, name)) <= highest:
                raise ValueError(f"{name} = {value}; expected a number from 0 to {highest:g}")

    @property
    def published(self) -> str | None:
        """The name of the published model that this specification stands for."""
        return "mteb/baseline-bm25s"


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSpec(Spec, Strict):
    """Models of ``models.toml`` one after the other: the reranker orders what the retriever finds."""

    kind: Literal["pipeline"] = "pipeline"
    retriever: str
    """The alias of the model that searches."""
    reranker: str | tuple[str, ...]
    """The alias of the model that reranks, or a list: each reranks the best of the one before it."""
    top_k: WholeNumber | tuple[WholeNumber, ...] = 100
    """How many documents the reranker gets; for several rerankers a list with a number for each."""

    def __post_init__(self) -> None:
        if not self.stages[1:]:
            raise ValueError("reranker = []; expected the name of a model, or a list of them")
        for name in ("retriever", "reranker"):
            if "" in ([self.retriever] if name == "retriever" else self.stages[1:]):
                raise ValueError(f'{name} = ""; leave the key out, or give it a value')
        for depth in self.depths:
            if depth < 1:
                raise ValueError(f"top_k = {depth}: must be 1 or more")
        if len(self.depths) != len(self.stages) - 1:
            raise ValueError(f"top_k has {len(self.depths)} numbers for {len(self.stages) - 1} rerankers")
        if any(later > former for former, later in zip(self.depths[:-1], self.depths[1:], strict=True)):
            raise ValueError(f"top_k = {list(self.depths)}: no reranker gives more documents than it was given")

    @property
    def stages(self) -> tuple[str, ...]:
        """The aliases of the models, the retriever first."""
        return (self.retriever, *([self.reranker] if isinstance(self.reranker, str) else self.reranker))

    @property
    def depths(self) -> tuple[int, ...]:
        """How many documents each reranker is given for a query."""
        return self.top_k if isinstance(self.top_k, tuple) else (self.top_k,) * (len(self.stages) - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HybridSpec(Spec, Strict):
    """Two or more models of ``models.toml`` whose rankings are fused, from those that are cached."""

    kind: Literal["hybrid"] = "hybrid"
    models: tuple[str, ...]
    """The aliases of two or more models that search."""
    weights: tuple[Number, ...] | None = None
    """A weight for each model; without it, equal ones."""
    fusion: Literal["rrf", "rsf", "dbsf"] = "rrf"
    """Reciprocal ranks (``rrf``), or scores scaled to their range (``rsf``) or to three deviations around their mean
    (``dbsf``).
    """
    rank_constant: WholeNumber = 60
    """The constant of ``rrf``."""
    top_k: WholeNumber | None = None
    """How many of each model's best documents take part; without it, all that it finds."""

    def __post_init__(self) -> None:
        check_values(self)
        if len(set(self.models)) < max(2, len(self.models)):
            raise ValueError("models needs the names of two models or more, each once")
        if self.weights is not None and len(self.weights) != len(self.models):
            raise ValueError(f"weights has {len(self.weights)} numbers for {len(self.models)} models")
        if self.weights is not None and (min(self.weights) < 0 or not sum(self.weights)):
            raise ValueError("weights must be 0 or more, and not all 0")
        if self.rank_constant < 0:
            raise ValueError(f"rank_constant = {self.rank_constant}: must be 0 or more")

    @property
    def stages(self) -> tuple[str, ...]:
        """The aliases of the models."""
        return self.models


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSpec(Spec, Strict):
    """An object of the user's own that encodes, searches or reranks: the Protocols of `touchstone.models`."""

    kind: Literal["python"] = "python"
    object: str
    """The object as ``module:name``, or a class or function that makes it."""
    args: Mapping[str, Any] = field(default_factory=dict)
    """The arguments of that class or function."""
    provides: Provides | None = None
    """The method to call; needed where the object has several."""
    version: str | None = None
    """Stands for what its files do not show, such as the day of an index."""
    similarity: Literal["cosine", "dot"] = "cosine"
    """How vectors are compared."""
    batch_size: WholeNumber = 256
    """The maximum number of texts or queries in a call."""
    timeout: Number = 300.0
    """Seconds that a call may take."""
    index_timeout: Number = 3600.0
    """Seconds that ``index`` may take."""

    def __post_init__(self) -> None:
        check_values(self)
        check_counts(self, "batch_size")
        check_reference(self.object, "object")
        if self.index_timeout <= 0:
            raise ValueError(f"index_timeout = {self.index_timeout}: must be more than 0")

    @property
    def reranks(self) -> bool:
        """Whether ``provides`` says that the object scores pairs of texts."""
        return self.provides == "rerank"
