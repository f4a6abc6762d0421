"""Retrieval: one score for each query, from ranked documents."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from touchstone.formatting import shorten
from touchstone.metrics import ranking
from touchstone.metrics.ranking import metric_at
from touchstone.records.names import name_unit
from touchstone.records.rankings import Ranking
from touchstone.records.samples import Column
from touchstone.task_types.base import (
    MAX_TEXT_LENGTH,
    Columns,
    FolderLayout,
    Predicted,
    TaskType,
    Texts,
    chance_of_nothing,
    own_fields,
    rows_of,
    share_rows,
)
from touchstone.task_types.folders import InstructedQuery, Query, read_retrieval
from touchstone.task_types.query_scores import PER_QUERY, judge

TOP_RANKS = 10
# Prefix of metrics that take the best of several queries; number of relevant documents that are a unit each; share of
# the queries of two languages that have the same id where they are translations.
SUBQUERY_PREFIX, MAX_SEPARATE_UNITS, MIN_COMMON_SHARE = "max_over_subqueries_", 3, 0.9
# Documents are truncated to these for reports, relevant ones less.
MAX_DOCUMENT_LENGTH, MAX_RELEVANT_LENGTH = 300, 1000


def collect(of: Predicted) -> Columns:
    """Return the columns of one split and subset: each query's score, if the metric has one, and its best documents."""
    if isinstance(of.found, Ranking):
        return _make_from_arrays(of, of.found)
    task = of.task
    data = of.rows()
    gold = {query: data["relevant_docs"][query] for query in of.found if query in data["relevant_docs"]}
    results = {query: _drop_ignored(query, of.found[query], task) for query in gold}
    name = of.metric.removeprefix(SUBQUERY_PREFIX)
    if name != of.metric:
        gold, results = _over_subqueries(gold, results)
    columns: dict[str, Any] = {"id": np.array(list(gold)), "top": [_best(results[query]) for query in gold]}
    at = metric_at(name)
    if at is not None:
        columns["value"] = PER_QUERY[at[0]][1](ranking.rank(results, gold, at[1]), at[1])
    return columns


def _make_from_arrays(of: Predicted, results: Ranking) -> Columns:
    """Return the columns of a search in arrays, whose documents are best first."""
    task = of.task
    gold = of.rows()["relevant_docs"]
    at = metric_at(of.metric)
    blocks = judge(results, gold, max(TOP_RANKS, at[1] if at else 0), itself=not task.ignore_identical_ids)
    top: list[list[str]] = []
    values = []
    for block in blocks:
        top += [[results.names[number] for number in documents[:TOP_RANKS]] for documents in block.documents]
        if at is not None:
            values.append(PER_QUERY[at[0]][1](block.exact if at[0] == "mrr" else block.ranked, at[1]))
    columns: dict[str, Any] = {"id": np.array(list(results.queries)), "top": top}
    return columns | ({"value": np.concatenate(values)} if values else {})


def _drop_ignored(query: str, documents: Mapping[str, float], task: Any) -> dict[str, float]:
    """Remove the documents that the task does not count: the query itself, or whichever comes first."""
    scores = {d: s for d, s in documents.items() if not (task.ignore_identical_ids and d == query)}
    if task.skip_first_result:
        scores = dict(sorted(scores.items(), key=lambda item: item[1], reverse=True)[1:])
    return scores


def _best(documents: Mapping[str, float]) -> list[str]:
    ordered = sorted(documents.items(), key=lambda item: (item[1], item[0]), reverse=True)
    return [document for document, _ in ordered[:TOP_RANKS]]


def _over_subqueries(
    judgements: Mapping[str, Mapping[str, int]], results: Mapping[str, Mapping[str, float]]
) -> tuple[dict[str, Mapping[str, int]], dict[str, dict[str, float]]]:
    """Merge the queries ``<name>_<number>`` of one name: each document keeps its best score."""
    merged: defaultdict[str, dict[str, float]] = defaultdict(dict)
    gold: dict[str, Mapping[str, int]] = {}
    for query in judgements:
        name = _merged_name(query)
        gold[name] = judgements[query]
        for document, score in results[query].items():
            merged[name][document] = max(score, merged[name].get(document, score))
    return gold, dict(merged)


def _merged_name(query: str) -> str:
    return "_".join(query.split("_")[:-1])


def _queries_of_samples(of: Predicted) -> dict[str, list[str]]:
    """Return the queries of each sample: one, or several that are merged."""
    in_arrays = isinstance(of.found, Ranking)
    judgements = of.rows()["relevant_docs"]
    merges = of.metric.startswith(SUBQUERY_PREFIX) and not in_arrays
    samples: defaultdict[str, list[str]] = defaultdict(list)
    for query in of.found.queries if in_arrays else (query for query in of.found if query in judgements):
        samples[_merged_name(query) if merges else query].append(query)
    return samples


def units(of: Predicted) -> list[list[str]]:
    """Return the units of each sample: its query's text, its relevant documents, and its name in several languages."""
    data, path = of.rows(), of.task.metadata.dataset["path"]
    texts = _questions(data)
    samples = _queries_of_samples(of)
    names = [
        [*_limit_units(name_unit(texts[query][1]) for query in queries),
         *_limit_units(name_unit("document", path, id_) for id_ in _relevant(data["relevant_docs"], queries))]
        for queries in samples.values()
    ]  # fmt: skip
    return share_rows(of, names, list(samples), _same_questions)


def _same_questions(left: Any, right: Any) -> bool:
    """Return True if queries have the same ids, but for some: of queries with the same text mteb keeps one."""
    left_ids, right_ids = (data["relevant_docs"].keys() for data in (left, right))
    return len(left_ids & right_ids) >= MIN_COMMON_SHARE * max(len(left_ids), len(right_ids))


def fields(of: Predicted) -> dict[str, Column]:
    """Return the total length of each sample's queries, and the fields of the first one in a custom folder."""
    data = of.rows()
    texts = _questions(data)
    samples = list(_queries_of_samples(of).values())
    rows = [texts[queries[0]][0] for queries in samples]
    return {
        "length": np.array([sum(len(texts[query][1]) for query in queries) for queries in samples]),
        **{name: column[rows] for name, column in own_fields(data["queries"]).items()},
    }


def _questions(data: Any) -> dict[str, tuple[int, str]]:
    """Return the row and text of each query."""
    ids, texts = (data["queries"][name][:] for name in ("id", "text"))
    return {id_: (row, _as_text(text)) for row, (id_, text) in enumerate(zip(ids, texts, strict=True))}


def _limit_units(units: Iterable[str]) -> list[str]:
    """Return distinct units, or a single unit for all of them if they are many: only equal sets of units share it."""
    distinct = sorted(set(units))
    return distinct if len(distinct) <= MAX_SEPARATE_UNITS else [name_unit(*distinct)]


def read_documents(of: Predicted, ids: Collection[str], relevant: Collection[str]) -> dict[str, str]:
    """Return the texts of documents, titles first, truncated."""
    corpus = of.rows()["corpus"]
    rows = rows_of(corpus["id"], set(ids))
    titles = corpus["title"] if "title" in corpus.column_names else None
    texts = {}
    for id_, row in rows.items():
        title = str(titles[row] or "") if titles is not None else ""
        length = MAX_RELEVANT_LENGTH if id_ in relevant else MAX_DOCUMENT_LENGTH
        texts[id_] = shorten(f"{title}. {corpus['text'][row]}" if title else str(corpus["text"][row]), length)
    return texts


def read_relevant(of: Predicted, query: str) -> frozenset[str]:
    """Return the documents that are relevant for a query."""
    judgements = of.rows()["relevant_docs"]
    return _relevant(judgements, _subqueries(judgements, query))


def _relevant(judgements: Mapping[str, Mapping[str, int]], queries: Iterable[str]) -> frozenset[str]:
    return frozenset(document for query in queries for document, grade in judgements[query].items() if grade > 0)


def read_queries(of: Predicted, selection: set[str]) -> Texts:
    """Return the texts of some queries, by id and then by role."""
    queries = of.rows()["queries"]
    ids = queries["id"][:]
    names = {name: id_ for id_ in selection for name in _subqueries(ids, id_)[:1]}
    texts = queries["text"]
    return {
        names[name]: {"query": shorten(_as_text(texts[row]), MAX_TEXT_LENGTH)}
        for name, row in rows_of(ids, set(names)).items()
    }


def _subqueries(ids: Collection[str], query: str) -> list[str]:
    """Return the query of that name, or the queries ``<name>_<number>``, whose documents mteb merges."""
    if query in ids:
        return [query]
    return sorted(id_ for id_ in ids if id_.rpartition("_")[0] == query)


def _as_text(text: Any) -> str:
    """Return a query as text; a dialogue is a list of turns."""
    if not isinstance(text, list):
        return str(text)
    return "\n".join(f"{turn['role']}: {turn['content']}" if isinstance(turn, dict) else str(turn) for turn in text)


def load_folder(task: Any, folder: Path, *, candidates: bool = False, query: Any = Query) -> dict[str, dict[str, Any]]:
    """Return a folder in the BEIR layout as mteb loads a retrieval data set.

    Args:
        task: the task object; notes are added to it.
        folder: the folder.
        candidates: whether there are candidates, as for reranking.
        query: the shape of a query; mteb gives everything in it but the id to the model.
    """
    from datasets import Dataset

    data = read_retrieval(folder, candidates=candidates, query=query)
    task.notes += data.notes
    queries = [
        {"id": q["_id"], **{key: value for key, value in q.items() if key != "_id"}, **fields}
        for q, fields in data.queries.with_fields()
        if q["_id"] in data.judgements
    ]
    split = {
        "corpus": Dataset(data.corpus.table),
        "queries": Dataset.from_list(queries),
        "relevant_docs": data.judgements,
        "top_ranked": data.candidates,
    }
    return {"default": {"test": split}}


LAYOUT = FolderLayout(
    files=("corpus.jsonl", "queries.jsonl", "qrels/test.jsonl"),
    main_score="ndcg_at_10",
    base="AbsTaskRetrieval",
    load=load_folder,
)
RETRIEVAL = TaskType(
    name="Retrieval",
    collect=collect,
    texts=read_queries,
    units=units,
    fields=fields,
    chance=chance_of_nothing,
    largest_loss=1.0,
    published_metric="ndcg_at_10",
    searches="corpus",
    examples=(("retrieval query", "NFCorpus", "query"), ("retrieval passage", "NFCorpus", "document")),
    folder=LAYOUT,
)
INSTRUCTION_RETRIEVAL = replace(
    RETRIEVAL,
    name="InstructionRetrieval",
    published_metric=None,
    examples=(),
    folder=replace(LAYOUT, load=partial(load_folder, query=InstructedQuery)),
)
