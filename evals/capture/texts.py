"""Find the texts behind samples while a task's data is still loaded."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from evals.capture.makers import Predicted, evaluated_rows, text_ids
from evals.points import shorten

LONGEST_TEXT = 500
LONGEST_DOCUMENT = 300
LONGEST_RELEVANT = 1000


def read_texts(of: Predicted, ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Return the texts of some samples of one split and subset, by id and then by role; cut to `LONGEST_TEXT`."""
    reader = READERS.get(of.task.metadata.type, _queries)
    return {
        id_: {role: shorten(text, LONGEST_TEXT) for role, text in texts.items()}
        for id_, texts in reader(of, set(ids)).items()
    }


def read_documents(of: Predicted, ids: Collection[str], relevant: Collection[str]) -> dict[str, str]:
    """Return the texts of documents, titles first; cut to `LONGEST_DOCUMENT`, the relevant ones less."""
    corpus = of.task.dataset[of.subset][of.split]["corpus"]
    rows = _rows_of(corpus["id"], set(ids))
    titles = corpus["title"] if "title" in corpus.column_names else None
    texts = {}
    for id_, row in rows.items():
        title = str(titles[row] or "") if titles is not None else ""
        longest = LONGEST_RELEVANT if id_ in relevant else LONGEST_DOCUMENT
        texts[id_] = shorten(f"{title}. {corpus['text'][row]}" if title else str(corpus["text"][row]), longest)
    return texts


def read_relevant(of: Predicted, query: str) -> frozenset[str]:
    """Return the documents that are relevant for a query."""
    judged = of.task.dataset[of.subset][of.split]["relevant_docs"]
    found = [judged[name] for name in _named(judged, query)]
    return frozenset(document for documents in found for document, grade in documents.items() if grade > 0)


def label_names(of: Predicted) -> dict[str, str]:
    """Return what the data calls its labels, by label as text; empty where it does not say."""
    if of.task.metadata.type not in ("Classification", "ZeroShotClassification"):
        return {}
    rows = of.rows()
    column = of.task.label_column_name
    if "label_text" not in rows.column_names:
        return {str(label): name for label, name in enumerate(getattr(rows.features[column], "names", None) or ())}
    return {str(label): str(name) for label, name in zip(rows[column][:], rows["label_text"][:], strict=True)}


def translations(of: Predicted, places: Collection[int]) -> dict[int, str]:
    """Return the sentences of the other language at some places."""
    parallel = getattr(of.task, "parallel_subsets", False)
    rows = of.task.dataset[of.split] if parallel else of.rows()
    column = rows[of.subset.split("-")[1] if parallel else "sentence2"]
    return {place: shorten(str(column[place]), LONGEST_TEXT) for place in places if place < len(column)}


def _rows_of(names: Any, wanted: set[str]) -> dict[str, int]:
    return {str(name): row for row, name in enumerate(names) if str(name) in wanted}


def _columns(
    name_columns: Callable[[Predicted], Mapping[str, str]],
) -> Callable[[Predicted, set[str]], dict[str, dict[str, str]]]:
    """Read samples that are named by their texts: ``name_columns`` returns columns by role, in the order of the id."""

    def read(of: Predicted, wanted: set[str]) -> dict[str, dict[str, str]]:
        columns = name_columns(of)
        rows = of.rows()
        if of.task.metadata.type == "MultilabelClassification":
            rows = evaluated_rows(of.task, rows, of.split, len(of.found[0]))
        texts = {role: rows[column][:] for role, column in columns.items()}
        found = _rows_of(text_ids(*texts.values()), wanted)
        return {id_: {role: str(column[row]) for role, column in texts.items()} for id_, row in found.items()}

    return read


def _bitext(of: Predicted, wanted: set[str]) -> dict[str, dict[str, str]]:
    parallel = getattr(of.task, "parallel_subsets", False)
    rows = of.task.dataset[of.split] if parallel else of.rows()
    texts = rows[of.subset.split("-")[0] if parallel else "sentence1"][:]
    return {id_: {"sentence": str(texts[row])} for id_, row in _rows_of(text_ids(texts), wanted).items()}


def _queries(of: Predicted, wanted: set[str]) -> dict[str, dict[str, str]]:
    queries = of.task.dataset[of.subset][of.split]["queries"]
    ids = queries["id"][:]
    names = {name: id_ for id_ in wanted for name in _named(ids, id_)[:1]}
    texts = queries["text"]
    return {names[name]: {"query": _spoken(texts[row])} for name, row in _rows_of(ids, set(names)).items()}


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


def _input(of: Predicted) -> dict[str, str]:
    return {"text": of.task.input_column_name}


READERS: Mapping[str, Callable[[Predicted, set[str]], dict[str, dict[str, str]]]] = {
    "STS": _columns(lambda of: dict(zip(("sentence 1", "sentence 2"), of.task.column_names, strict=True))),
    "PairClassification": _columns(
        lambda of: {"sentence 1": of.task.input1_column_name, "sentence 2": of.task.input2_column_name}
    ),
    "Classification": _columns(_input),
    "MultilabelClassification": _columns(_input),
    "Regression": _columns(_input),
    "ZeroShotClassification": _columns(_input),
    "BitextMining": _bitext,
    "Summarization": _columns(lambda of: {"text": of.task.text_column_name}),
}
