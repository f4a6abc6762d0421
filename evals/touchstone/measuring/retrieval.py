"""Let mteb's retrieval tasks search and score in arrays: the same results, a fraction of the time and memory.

Only where a model's embeddings are searched for documents of a whole corpus. What the task computes by itself from the
documents found, it still does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from touchstone import seams
from touchstone.measuring.search import Search, in_order
from touchstone.records.rankings import Ranking
from touchstone.task_types.query_scores import PER_QUERY, Judgements, all_metrics, confidences, judge

if TYPE_CHECKING:
    from mteb import AbsTask
    from mteb.types import ScoresDict

    from touchstone.metrics.resampling import Floats


@contextmanager
def searched_in_arrays(tasks: Sequence["AbsTask"], device: str | None = None) -> Iterator[None]:
    """Replace how task objects evaluate a split and subset, where that is an embedding search; nothing else.

    Args:
        tasks: any tasks of mteb's.
        device: where to search, for embeddings that come as plain arrays; None to leave them where they are.
    """
    from mteb.abstasks import AbsTaskRetrieval

    ours = (task for task in tasks if isinstance(task, AbsTaskRetrieval))
    searches: list[Any] = [task for task in ours if not seams.has_own_evaluation(task)]
    undo = [seams.evaluate_subsets_by(task, partial(_evaluate_subset, task, device)) for task in searches]
    try:
        yield
    finally:
        for restore in undo:
            restore()


def _evaluate_subset(
    task: Any, device: str | None, original: Callable[..., Any], model: Any, data_split: Any, **options: Any
) -> Any:
    if not _searches(task, model, data_split):
        return original(model, data_split, **options)
    if _asks_for_dictionaries(task):
        return original(_Arrays(model, device, as_dictionaries=True).searcher, data_split, **options)
    return _evaluate(task, _Arrays(model, device, as_dictionaries=False), data_split, **options)


def _searches(task: Any, model: Any, data: Any) -> bool:
    """Return True if the law of `touchstone.measuring.search` holds: mteb decides otherwise where an id occurs twice.

    A task that skips the first result skips any of those that share the best score.
    """
    from mteb import EncoderProtocol, SearchProtocol

    ids = [data[side]["id"][:] for side in ("corpus", "queries")]
    return (
        isinstance(model, EncoderProtocol)
        and not isinstance(model, SearchProtocol)
        and data["top_ranked"] is None
        and not task.skip_first_result
        and all(ids)
        and all(len(set(names)) == len(names) for names in ids)
        and any(data["relevant_docs"].get(query) for query in ids[1])
    )


def _asks_for_dictionaries(task: Any) -> bool:
    """Return True if a task computes scores of its own, for which it is given what mteb's library gives it."""
    from mteb.abstasks import AbsTaskRetrieval

    scores: Any = type(task).task_specific_scores
    return scores is not AbsTaskRetrieval.task_specific_scores


class _Arrays:
    """Stands in for the part of mteb's search that finds the best documents; what is encoded, and how, stays mteb's.

    ``searcher`` is mteb's object; ``ranking`` what it found, once it has searched.
    """

    def __init__(self, model: Any, device: str | None, *, as_dictionaries: bool) -> None:
        from mteb.models import SearchEncoderWrapper

        self.searcher = SearchEncoderWrapper(model)
        # What is found does not depend on it; a vector for each token takes many times the memory.
        self.searcher.corpus_chunk_size = getattr(model, "corpus_chunk_size", self.searcher.corpus_chunk_size)
        seams.search_by(self.searcher, self._search)
        self.ranking: Ranking | None = None
        self._device = device
        self._as_dictionaries = as_dictionaries

    def _search(
        self,
        *,
        query_idx_to_id: Mapping[int, str],
        query_embeddings: Any,
        top_k: int,
        encode_kwargs: dict[str, Any],
        timer: Any,
        **of: Any,
    ) -> dict[str, list[tuple[float, str]]]:
        """Search the corpus; return what mteb makes dictionaries of, or nothing where there shall be none."""
        from mteb.types import PromptType

        corpus: Any = self.searcher.task_corpus
        ids = corpus["id"][:]
        order = in_order(ids)
        places = np.empty(len(ids), np.int32)
        places[order] = np.arange(len(ids), dtype=np.int32)
        model: Any = self.searcher.model
        search = Search(model.similarity, query_embeddings, len(ids), top_k, device=self._device)
        with timer("Searching corpus", split=of["hf_split"], subset=of["hf_subset"]):
            # The chunks are mteb's: a model that quantizes does so by the range of the numbers in each.
            for start in range(0, len(ids), self.searcher.corpus_chunk_size):
                chunk = slice(start, min(start + self.searcher.corpus_chunk_size, len(ids)))
                loader = _load(corpus.select(range(chunk.start, chunk.stop)), of["task_metadata"], encode_kwargs)
                documents = model.encode(loader, prompt_type=PromptType.document, **of, **encode_kwargs)
                search.add(documents, places[chunk])
                del documents  # before the next chunk is encoded
        self.ranking = Ranking(
            task=of["task_metadata"].name,
            split=of["hf_split"],
            subset=of["hf_subset"],
            queries=list(query_idx_to_id.values()),
            counts=np.full(len(search.places), search.places.shape[1], dtype=np.int64),
            names=[ids[number] for number in order],
            documents=search.places.reshape(-1),
            scores=search.scores.reshape(-1),
        )
        if not self._as_dictionaries:
            return {}
        by_query = self.ranking.results()
        return {query: [(score, document) for document, score in by_query[query].items()] for query in by_query}


def _load(documents: Any, task_metadata: Any, encode_kwargs: Mapping[str, Any]) -> Any:
    """Return what mteb's `create_dataloader` does for documents; texts are put together by columns, not by rows."""
    from datasets import Dataset
    from mteb.types import PromptType
    from torch.utils.data import DataLoader

    size = encode_kwargs.get("batch_size", 32)
    text_alone = task_metadata.get_modalities(PromptType.document) == ["text"] and "text" in documents.column_names
    columns = {name: documents[name][:] for name in documents.column_names} if text_alone else {}
    texts, titles = columns.get("text", [None]), columns.get("title", [""] * len(documents))
    if not all(isinstance(text, str) for side in (texts, titles) for text in side):
        create: Any = seams.find("mteb._create_dataloaders:create_dataloader")
        return create(documents, task_metadata=task_metadata, prompt_type=PromptType.document, batch_size=size)
    joined = [f"{title} {text}".strip() if title else text.strip() for title, text in zip(titles, texts, strict=True)]
    prepared: Any = Dataset.from_dict({**columns, "text": joined, "body": texts})
    return DataLoader(prepared, batch_size=size, collate_fn=seams.find("mteb._create_dataloaders:_custom_collate_fn"))


def _evaluate(
    task: Any,
    arrays: _Arrays,
    data: Any,
    *,
    encode_kwargs: Any,
    timer: Any,
    prediction_folder: Any = None,
    **options: Any,
) -> "ScoresDict":
    """Do what `AbsTaskRetrieval._evaluate_subset` does; the predictions that the task is told are a `Ranking`."""
    drop = seams.find(f"{seams.RETRIEVAL}:_filter_queries_without_positives")
    data["relevant_docs"], data["queries"] = drop(data["relevant_docs"], data["queries"])
    of = {"hf_split": options.pop("hf_split"), "hf_subset": options.pop("hf_subset")}
    num_proc = options.pop("num_proc", None)
    evaluator = seams.find("mteb._evaluators:RetrievalEvaluator")(
        corpus=data["corpus"],
        queries=data["queries"],
        task_metadata=task.metadata,
        top_ranked=None,
        top_k=seams.top_k_of(task),
        timer=timer,
        **of,
        **options,
    )
    evaluator(arrays.searcher, encode_kwargs=encode_kwargs, num_proc=num_proc)
    ranking = arrays.ranking
    assert ranking is not None
    if prediction_folder:
        seams.tell_predictions(task, ranking, arrays.searcher, prediction_folder, **of)
    with timer("Scoring", split=of["hf_split"], subset=of["hf_subset"]):
        scores = _score(task, ranking, data["relevant_docs"])
    score_dict: ScoresDict = seams.find(f"{seams.METRICS}:make_score_dict")(
        **scores, task_scores={}, previous_results_model_meta=seams.previous_model_of(task)
    )
    return score_dict


def _score(task: Any, ranking: Ranking, judgements: Judgements) -> dict[str, dict[str, float]]:
    """Return what `calculate_retrieval_scores` of mteb's does, by the names that `make_score_dict` has for it."""
    nauc = seams.find(f"{seams.METRICS}:nauc")
    depths = list(task.k_values)
    blocks: list[tuple[dict[str, Floats], dict[str, Floats]]] = [
        (all_metrics(judgement, depths), confidences(judgement))
        for judgement in judge(ranking, judgements, max(depths), itself=not task.ignore_identical_ids)
    ]
    values, sure = ({name: np.concatenate([block[name] for block in part]) for name in part[0]}
                    for part in zip(*blocks, strict=True))  # fmt: skip
    means = {name: sum(column.tolist()) / len(column) for name, column in values.items()}
    rounded = {name: mean if name.startswith("MRR@") else round(mean, 5) for name, mean in means.items()}

    def abstain(*metrics: str) -> dict[str, float]:
        return {
            f"nAUC_{metric}@{depth}_{kind}": nauc(confidence, values[f"{metric}@{depth}"])
            for metric in metrics
            for depth in depths
            for kind, confidence in sure.items()
        }

    # `make_score_dict` calls one of them _map, for a function of Python is called map.
    names = {"_map" if name == "map" else name: theirs for name, (theirs, _) in PER_QUERY.items()}
    return {
        **{ours: {at: rounded[at] for at in (f"{theirs}@{depth}" for depth in depths)}
           for ours, theirs in names.items()},
        "naucs": abstain("NDCG", "MAP", "Recall", "P"),
        "naucs_mrr": abstain("MRR"),
    }  # fmt: skip
