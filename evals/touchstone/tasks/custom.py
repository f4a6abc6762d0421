"""A user's folder becomes a task object that mteb can evaluate like one of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from touchstone.records.cases import TaskInfo
from touchstone.tasks.folders import read_labelled_pairs, read_labelled_texts, read_retrieval, read_scored_pairs

if TYPE_CHECKING:
    from mteb import AbsTask


MAIN_SCORES = {
    "Retrieval": "ndcg_at_10",
    "Reranking": "map_at_1000",
    "STS": "cosine_spearman",
    "Classification": "accuracy",
    "PairClassification": "max_ap",
    "Clustering": "v_measure",
}
FILES = {
    "Retrieval": ("corpus.jsonl", "queries.jsonl", "qrels/test.jsonl", "qrels/test.tsv"),
    "Reranking": ("corpus.jsonl", "queries.jsonl", "qrels/test.jsonl", "qrels/test.tsv", "top_ranked.jsonl"),
    "STS": ("test.jsonl",),
    "Classification": ("train.jsonl", "test.jsonl"),
    "PairClassification": ("test.jsonl",),
    "Clustering": ("test.jsonl",),
}


def files_of(info: TaskInfo) -> list[tuple[str, Path]]:
    """Name the files of a custom task that are there, by their path inside the folder."""
    folder = info.folder or Path()
    return [(name, folder / name) for name in FILES[info.type] if (folder / name).is_file()]


def make_task(info: TaskInfo, data_sha256: str) -> "AbsTask":
    """Make a task object whose data is the folder's; the data is read when mteb asks for it.

    Args:
        info: a custom task.
        data_sha256: what the files hash to; stands for a revision in mteb's results.
    """
    from mteb import TaskMetadata

    base, attributes = _base_class(info.type)
    metadata = TaskMetadata(
        name=info.name,
        description=f"A custom task of {len(files_of(info))} files.",
        type=info.type,  # type: ignore[arg-type]  # one of MAIN_SCORES, all of them types of mteb's
        category="t2t",
        modalities=["text"],
        eval_splits=list(info.splits),
        eval_langs=list(info.languages),
        main_score=info.main_score,
        dataset={"path": info.name, "revision": data_sha256[:12]},
        reference=None,
        date=None,
    )

    def load_data(self: Any, *_: Any, **__: Any) -> None:
        if not self.data_loaded:
            self.dataset = _load(self, info)
            self.data_loaded = True

    made = type(info.name, (base,), {"metadata": metadata, "load_data": load_data, **attributes})
    task: AbsTask = made()
    return task


def _base_class(type_name: str) -> tuple[type["AbsTask"], Mapping[str, Any]]:
    from mteb.abstasks import (
        AbsTaskClassification,
        AbsTaskClustering,
        AbsTaskPairClassification,
        AbsTaskRetrieval,
        AbsTaskSTS,
    )

    # mteb samples 4 % of a clustering set, for sets of a million; a folder of one's own is taken whole.
    whole = {"max_fraction_of_documents_to_embed": None, "max_document_to_embed": None}
    bases: dict[str, type[AbsTask]] = {
        "Retrieval": AbsTaskRetrieval,
        "Reranking": AbsTaskRetrieval,
        "STS": AbsTaskSTS,
        "Classification": AbsTaskClassification,
        "PairClassification": AbsTaskPairClassification,
        "Clustering": AbsTaskClustering,
    }
    return bases[type_name], whole if type_name == "Clustering" else {}


def _load(task: Any, info: TaskInfo) -> Any:
    folder = info.folder or Path()
    if info.type in ("Retrieval", "Reranking"):
        return _load_retrieval(folder, candidates=info.type == "Reranking")
    return {
        "STS": _load_sts,
        "Classification": _load_classification,
        "PairClassification": _load_pairs,
        "Clustering": _load_clustering,
    }[info.type](task, folder)


def _load_retrieval(folder: Path, *, candidates: bool) -> dict[str, dict[str, Any]]:
    from datasets import Dataset

    data = read_retrieval(folder, candidates=candidates)
    corpus = [{"id": d["_id"], "title": d.get("title", ""), "text": d["text"]} for d in data.corpus]
    queries = [{"id": q["_id"], "text": q["text"]} for q in data.queries if q["_id"] in data.judgements]
    split = {
        "corpus": Dataset.from_list(corpus),
        "queries": Dataset.from_list(queries),
        "relevant_docs": data.judgements,
        "top_ranked": data.candidates,
    }
    return {"default": {"test": split}}


def _load_sts(task: Any, folder: Path) -> Any:
    from datasets import Dataset, DatasetDict

    pairs = list(read_scored_pairs(folder / "test.jsonl"))
    scores = [pair["score"] for pair in pairs]
    # mteb scales the scores to [0, 1] by these; correlations do not depend on it.
    task.min_score, task.max_score = min(scores), max(scores)
    return DatasetDict({"test": Dataset.from_list([dict(pair) for pair in pairs])})


def _load_pairs(task: Any, folder: Path) -> Any:
    from datasets import Dataset, DatasetDict

    del task
    rows = [
        {"sentence1": pair["sentence1"], "sentence2": pair["sentence2"], "labels": pair["label"]}
        for pair in read_labelled_pairs(folder / "test.jsonl")
    ]
    return DatasetDict({"test": Dataset.from_list(rows)})


def _load_classification(task: Any, folder: Path) -> Any:
    from datasets import Dataset, DatasetDict

    del task
    train, test = (read_labelled_texts(folder / f"{split}.jsonl") for split in ("train", "test"))
    known = {str(row["label"]) for row in train}
    for number, row in test.rows:
        if str(row["label"]) not in known:
            raise test.fail(number, f'label "{row["label"]}" is not in train.jsonl')
    numbers = {label: number for number, label in enumerate(sorted(known))}
    splits = {"train": train, "test": test}
    return DatasetDict(
        {
            name: Dataset.from_list([{"text": r["text"], "label": numbers[str(r["label"])]} for r in rows])
            for name, rows in splits.items()
        }
    )


def _load_clustering(task: Any, folder: Path) -> Any:
    from datasets import Dataset, DatasetDict

    texts = list(read_labelled_texts(folder / "test.jsonl"))
    task.max_documents_per_cluster = len(texts)
    rows = [{"sentences": text["text"], "labels": str(text["label"])} for text in texts]
    return DatasetDict({"test": Dataset.from_list(rows)})
