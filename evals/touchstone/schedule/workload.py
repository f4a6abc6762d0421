"""How much text a case has, from the statistics that mteb ships and from the files of a folder. Imports no library."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from touchstone.records.cases import Case, TaskInfo

# Models cut what is longer: about 512 tokens.
MAX_CHARACTERS = 2_000.0
# A classifier is fitted ten times on eight texts of each label, which are drawn anew.
TEXTS_PER_LABEL = 80
# What a pipeline reranks where the statistics name no candidates.
CANDIDATES = 100
# With a limit, retrieval keeps the judged documents and so many others for each query.
DISTRACTORS = 100
# The tasks that an aggregate is made of, which alone have statistics.
PARTS: Mapping[str, str] = {
    "CQADupstackRetrieval": "CQADupstack*Retrieval",
    "CQADupstackRetrieval-Fa": "CQADupstack*Retrieval-Fa",
    "CQADupstackRetrieval-PL": "CQADupstack-*-PL",
    "CQADupstack-NL": "CQADupstack*-NL",
    "SynPerChatbotConvSAClassification": "SynPerChatbotConvSA[!T]*",
}
# Of these mteb encodes a share drawn at random, and its statistics count all.
SAMPLED_SHARE = 0.04
SAMPLED_TASKS = frozenset({
    "BiorxivClusteringP2P.v2", "BiorxivClusteringS2S.v2", "MedrxivClusteringP2P.v2", "MedrxivClusteringS2S.v2",
    "RedditClusteringP2P.v2", "StackExchangeClusteringP2P.v2", "TwentyNewsgroupsClustering.v2",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Distinct texts to encode and candidates to rerank, each with their characters as far as a model reads."""

    texts: float = 0.0
    characters: float = 0.0
    pairs: float = 0.0
    pair_characters: float = 0.0


def statistics_folder() -> Path | None:
    """Return where mteb's descriptive statistics are, one file for each task; None where it is not installed."""
    spec = find_spec("mteb")  # which does not import it
    places = None if spec is None else spec.submodule_search_locations
    return None if not places else Path(places[0]) / "descriptive_stats"


def find_workload(case: Case, statistics: Path | None) -> Workload | None:
    """Return how much text a case has; None where nothing is known of its task."""
    task = case.task
    if task.folder is not None:
        return _of_folder(task.folder, case.limit)
    # The splits and subsets of an aggregate are its own, one number each; its parts have theirs.
    loads = [load for part in _parts(task, statistics) for load in _of_task(task, part, case.limit)]
    sums = {field.name: sum(getattr(load, field.name) for load in loads) for field in fields(Workload)}
    return Workload(**sums) if loads else None


def find_sizes(task: TaskInfo, statistics: Path | None) -> tuple[int, ...]:
    """Return how many queries, rows or pairs each split and subset has, or each split; none where that is not known."""
    if task.folder is not None:
        files = [task.folder / f"{name}.jsonl" for name in ("queries", "test")]
        return tuple(_count_lines(file, file.stat().st_size) for file in files if file.is_file())[:1]
    parts = _parts(task, statistics)
    blocks = [block for split in task.splits for part in parts for block in _blocks(part.get(split), task.subsets)]
    sizes = tuple(map(_count, blocks))
    return sizes if len(parts) == 1 and all(sizes) else ()


def find_documents(task: TaskInfo, statistics: Path | None) -> int:
    """Return how many distinct documents the largest corpus of a task has, by its statistics or the lines of its file.

    0 where that is not known.
    """
    if task.folder is not None:
        file = task.folder / "corpus.jsonl"
        return _count_lines(file, file.stat().st_size) if file.is_file() else 0
    parts = _parts(task, statistics)
    blocks = [block for split in task.splits for part in parts for block in _blocks(part.get(split), task.subsets)]
    return max((int(_side(block, "documents_text_statistics")[0]) for block in blocks), default=0)


def _count(block: Mapping[str, Any]) -> int:
    """Return the queries of a search, of which older statistics have only the texts, or the rows."""
    if "queries_text_statistics" in block:
        return int(block.get("num_queries") or _side(block, "queries_text_statistics")[0])
    return int(block.get("num_samples") or 0)


def _parts(task: TaskInfo, statistics: Path | None) -> list[Mapping[str, Any]]:
    """Return the statistics of a task, or of those that an aggregate is made of."""
    if statistics is None:
        return []
    folder = statistics / task.type
    files = sorted(folder.glob(f"{PARTS[task.name]}.json")) if task.name in PARTS else [folder / f"{task.name}.json"]
    return [_read_statistics(file) for file in files if file.is_file()]


@lru_cache(maxsize=256)
def _read_statistics(file: Path) -> Mapping[str, Any]:
    statistics: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return statistics


@lru_cache(maxsize=256)
def _count_lines(file: Path, _size: int) -> int:
    with file.open("rb") as lines:
        return sum(not line.isspace() for line in lines)


def _of_task(task: TaskInfo, statistics: Mapping[str, Any], limit: int | None) -> Iterator[Workload]:
    """Yield the work of each split and subset that is evaluated, and of what a classifier is fitted on."""
    for split in task.splits:
        for block in _blocks(statistics.get(split), task.subsets):
            yield _of_search(block, limit) if "documents_text_statistics" in block else _of_rows(task, block, limit)
    if "samples_in_train" in statistics.get(task.splits[0], {}) and "train" not in task.splits:
        for block in _blocks(statistics.get("train"), task.subsets):
            texts, characters = _side(block, "text_statistics")
            labels = (block.get("label_statistics") or {}).get("unique_labels", 0)
            share = min(1.0, TEXTS_PER_LABEL * labels / texts) if texts and labels else 1.0
            yield Workload(texts=share * texts, characters=share * characters)


def _blocks(split: Mapping[str, Any] | None, subsets: tuple[str, ...]) -> list[Mapping[str, Any]]:
    """Return the statistics of each subset, or those of the split where they are not told apart."""
    if split is None:
        return []
    apart = split.get("hf_subset_descriptive_stats") or {}
    return [apart[subset] for subset in subsets if subset in apart] or [split]


def _of_rows(task: TaskInfo, block: Mapping[str, Any], limit: int | None) -> Workload:
    """Return the work of rows, pairs or summaries: every distinct text once."""
    share = SAMPLED_SHARE if task.name in SAMPLED_TASKS else 1.0
    if limit is not None and block.get("num_samples"):
        share *= min(1.0, limit / block["num_samples"])
    sides = [_side(block, name) for name in block if name.endswith("_statistics")]
    return Workload(texts=share * sum(n for n, _ in sides), characters=share * sum(length for _, length in sides))


def _of_search(block: Mapping[str, Any], limit: int | None) -> Workload:
    """Return the work of queries and documents."""
    queries, query_length = _side(block, "queries_text_statistics")
    documents, document_length = _side(block, "documents_text_statistics")
    ranked = block.get("top_ranked_statistics") or {}
    candidates = ranked.get("average_top_ranked_per_query", min(CANDIDATES, documents))
    if not queries or not documents:
        return Workload(texts=queries + documents, characters=query_length + document_length)
    query, document = query_length / queries, document_length / documents
    if limit is not None and limit < queries:
        relevant = (block.get("relevant_docs_statistics") or {}).get("average_relevant_docs_per_query", 1.0)
        queries, documents = limit, min(documents, limit * (relevant + DISTRACTORS))
    return Workload(
        texts=queries + documents,
        characters=queries * query + documents * document,
        pairs=queries * candidates,
        pair_characters=queries * candidates * (query + document),
    )


def _side(block: Mapping[str, Any], name: str) -> tuple[float, float]:
    """Return the number of distinct texts and their characters, cut where models cut; none where these are no texts."""
    statistics = block.get(name) or {}
    texts, length = statistics.get("unique_texts"), statistics.get("average_text_length")
    return (0.0, 0.0) if texts is None or length is None else (float(texts), texts * min(length, MAX_CHARACTERS))


def _of_folder(folder: Path, limit: int | None) -> Workload:
    """Return the work of a custom task by the size of its files: a byte is about a character."""
    sizes = {file.stem: float(file.stat().st_size) for file in sorted(folder.glob("*.jsonl"))}
    if not sizes:  # in another format, or in subsets
        return Workload(characters=float(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())))
    ranked = sizes.pop("top_ranked", 0.0)
    if limit is not None:
        limits = {"corpus": limit * DISTRACTORS, "train": float("inf")}
        for name, size in sizes.items():
            rows, lines = limits.get(name, limit), _count_lines(folder / f"{name}.jsonl", int(size))
            sizes[name] = min(size, size * rows / max(lines, 1), rows * MAX_CHARACTERS)
    total = sum(sizes.values())
    reranked = total if ranked else sizes.get("queries", 0.0) * CANDIDATES
    return Workload(characters=total, pair_characters=reranked)
