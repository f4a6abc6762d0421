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
    LONGEST_TEXT,
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

TOP = 10
# How metrics begin that take the best of several queries; how many relevant documents are a unit each; of the queries
# of two languages, how many are called alike where they are translations.
SUBQUERIES, SEPARATE, ALIKE = "max_over_subqueries_", 3, 0.9
# Of documents that are not relevant, and of those that are.
LONGEST_DOCUMENT, LONGEST_RELEVANT = 300, 1000


def collect(of: Predicted) -> Columns:
    """Return the columns of one split and subset: each query's own score where the metric has one, and its best."""
    if isinstance(of.found, Ranking):
        return _make_from_arrays(of, of.found)
    task = of.task
    data = of.rows()
    judged = {query: data["relevant_docs"][query] for query in of.found if query in data["relevant_docs"]}
    results = {query: _allowed(query, of.found[query], task) for query in judged}
    name = of.metric.removeprefix(SUBQUERIES)
    if name != of.metric:
        judged, results = _over_subqueries(judged, results)
    columns: dict[str, Any] = {"id": np.array(list(judged)), "top": [_best(results[query]) for query in judged]}
    at = metric_at(name)
    if at is not None:
        columns["value"] = PER_QUERY[at[0]][1](ranking.rank(results, judged, at[1]), at[1])
    return columns


def _make_from_arrays(of: Predicted, found: Ranking) -> Columns:
    """Return the same of a search in arrays, whose documents are best first."""
    task = of.task
    gold = of.rows()["relevant_docs"]
    at = metric_at(of.metric)
    blocks = judge(found, gold, max(TOP, at[1] if at else 0), itself=not task.ignore_identical_ids)
    top: list[list[str]] = []
    values = []
    for block in blocks:
        top += [[found.names[number] for number in documents[:TOP]] for documents in block.documents]
        if at is not None:
            values.append(PER_QUERY[at[0]][1](block.exact if at[0] == "mrr" else block.ranked, at[1]))
    columns: dict[str, Any] = {"id": np.array(list(found.queries)), "top": top}
    return columns | ({"value": np.concatenate(values)} if values else {})


def _allowed(query: str, documents: Mapping[str, float], task: Any) -> dict[str, float]:
    """Leave out what the task does not count: the query itself, or whatever comes first."""
    kept = {d: s for d, s in documents.items() if not (task.ignore_identical_ids and d == query)}
    if task.skip_first_result:
        kept = dict(sorted(kept.items(), key=lambda item: item[1], reverse=True)[1:])
    return kept


def _best(documents: Mapping[str, float]) -> list[str]:
    ordered = sorted(documents.items(), key=lambda item: (item[1], item[0]), reverse=True)
    return [document for document, _ in ordered[:TOP]]


def _over_subqueries(
    judged: Mapping[str, Mapping[str, int]], results: Mapping[str, Mapping[str, float]]
) -> tuple[dict[str, Mapping[str, int]], dict[str, dict[str, float]]]:
    """Merge the queries ``<name>_<number>`` of one name: each document keeps its best score."""
    merged: defaultdict[str, dict[str, float]] = defaultdict(dict)
    gold: dict[str, Mapping[str, int]] = {}
    for query in judged:
        name = _merged(query)
        gold[name] = judged[query]
        for document, score in results[query].items():
            merged[name][document] = max(score, merged[name].get(document, score))
    return gold, dict(merged)


def _merged(query: str) -> str:
    return "_".join(query.split("_")[:-1])


def _sampled(of: Predicted) -> dict[str, list[str]]:
    """Return the queries of each sample: one, or those that are merged."""
    in_arrays = isinstance(of.found, Ranking)
    judged = of.rows()["relevant_docs"]
    merges = of.metric.startswith(SUBQUERIES) and not in_arrays
    found: defaultdict[str, list[str]] = defaultdict(list)
    for query in of.found.queries if in_arrays else (query for query in of.found if query in judged):
        found[_merged(query) if merges else query].append(query)
    return found


def units(of: Predicted) -> list[list[str]]:
    """Return the units of each sample: its query's text, its relevant documents, and its name in several languages."""
    data, path = of.rows(), of.task.metadata.dataset["path"]
    texts = _questions(data)
    sampled = _sampled(of)
    named = [
        [*_few(name_unit(texts[query][1]) for query in queries),
         *_few(name_unit("document", path, id_) for id_ in _relevant(data["relevant_docs"], queries))]
        for queries in sampled.values()
    ]  # fmt: skip
    return share_rows(of, named, list(sampled), _same_questions)


def _same_questions(one: Any, other: Any) -> bool:
    """Return True if queries are called alike; of those with the same text mteb keeps one, which is not always both."""
    ids, others = (data["relevant_docs"].keys() for data in (one, other))
    return len(ids & others) >= ALIKE * max(len(ids), len(others))


def fields(of: Predicted) -> dict[str, Column]:
    """Return the length of each sample's queries, and what a custom folder says of the first."""
    data = of.rows()
    texts = _questions(data)
    sampled = list(_sampled(of).values())
    first = [texts[queries[0]][0] for queries in sampled]
    return {
        "length": np.array([sum(len(texts[query][1]) for query in queries) for queries in sampled]),
        **{name: column[first] for name, column in own_fields(data["queries"]).items()},
    }


def _questions(data: Any) -> dict[str, tuple[int, str]]:
    """Return the row and text of each query."""
    ids, texts = (data["queries"][name][:] for name in ("id", "text"))
    return {id_: (row, _spoken(text)) for row, (id_, text) in enumerate(zip(ids, texts, strict=True))}


def _few(units: Iterable[str]) -> list[str]:
    """Return units, or one for all of them where they are many: only samples with the same ones share that."""
    distinct = sorted(set(units))
    return distinct if len(distinct) <= SEPARATE else [name_unit(*distinct)]


def read_documents(of: Predicted, ids: Collection[str], relevant: Collection[str]) -> dict[str, str]:
    """Return the texts of documents, titles first; cut to `LONGEST_DOCUMENT`, the relevant ones less."""
    corpus = of.rows()["corpus"]
    rows = rows_of(corpus["id"], set(ids))
    titles = corpus["title"] if "title" in corpus.column_names else None
    texts = {}
    for id_, row in rows.items():
        title = str(titles[row] or "") if titles is not None else ""
        longest = LONGEST_RELEVANT if id_ in relevant else LONGEST_DOCUMENT
        texts[id_] = shorten(f"{title}. {corpus['text'][row]}" if title else str(corpus["text"][row]), longest)
    return texts


def read_relevant(of: Predicted, query: str) -> frozenset[str]:
    """Return the documents that are relevant for a query."""
    judged = of.rows()["relevant_docs"]
    return _relevant(judged, _named(judged, query))


def _relevant(judged: Mapping[str, Mapping[str, int]], queries: Iterable[str]) -> frozenset[str]:
    return frozenset(document for query in queries for document, grade in judged[query].items() if grade > 0)


def read_queries(of: Predicted, wanted: set[str]) -> Texts:
    """Return the texts of some queries, by id and then by role."""
    queries = of.rows()["queries"]
    ids = queries["id"][:]
    names = {name: id_ for id_ in wanted for name in _named(ids, id_)[:1]}
    texts = queries["text"]
    return {
        names[name]: {"query": shorten(_spoken(texts[row]), LONGEST_TEXT)}
        for name, row in rows_of(ids, set(names)).items()
    }


def _named(ids: Collection[str], query: str) -> list[str]:
    """Return the query of that name, or those called ``<name>_<number>``, whose documents mteb merges."""
    if query in ids:
        return [query]
    return sorted(id_ for id_ in ids if id_.rpartition("_")[0] == query)


def _spoken(text: Any) -> str:
    """Return a query as text: one of a dialogue is a list of turns."""
    if not isinstance(text, list):
        return str(text)
    return "\n".join(f"{turn['role']}: {turn['content']}" if isinstance(turn, dict) else str(turn) for turn in text)


def load_folder(task: Any, folder: Path, *, candidates: bool = False, query: Any = Query) -> dict[str, dict[str, Any]]:
    """Return a folder in the BEIR layout as mteb loads a retrieval data set.

    Args:
        task: told what is to be noted.
        folder: the folder.
        candidates: whether there are candidates, as of reranking.
        query: the shape of a query; what one has beside its name is read to the model by mteb.
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
