"""Read a user's folder of tables; every wrong line is one sentence with its file and number."""

import json
import math
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, NotRequired, TypeVar

from pydantic import AfterValidator, BeforeValidator, FailFast, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from touchstone.errors import SourceError
from touchstone.files.json import parse_json
from touchstone.files.tables import FORMATS, find_forms, format_of, read_rows
from touchstone.formatting import shorten
from touchstone.records.names import SIGNS
from touchstone.records.samples import FIELD, MOST_FIELDS, is_field
from touchstone.task_types.corpora import Corpus, read_corpus
from touchstone.task_types.judgements import read_judgements


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


# A longer text says little of many samples; fields of every task, length and language; numbers that are held exactly.
LONGEST_FIELD, OURS, EXACT = 64, 2, 1 << 53
# As JSON writes one.
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?")


def _as_number(value: object) -> object:
    """Refuse what only Python takes for a number, such as 1_0."""
    if isinstance(value, str) and not NUMBER.fullmatch(value):
        raise ValueError("should be a valid number")
    return value


def _as_whole(value: object) -> object:
    """Programs that know a column with gaps as one of floats write 1.0 for 1."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT else value


Text = Annotated[str, AfterValidator(_not_blank)]
Texts = Annotated[list[Text], FailFast()]
Whole = Annotated[int, BeforeValidator(_as_whole), BeforeValidator(_as_number)]
Number = Annotated[FiniteFloat, BeforeValidator(_as_number)]
# The keys are those of the BEIR layout and of mteb's own data sets; of other keys in a line see `Lines.with_fields`.
Document = TypedDict("Document", {"_id": Text, "title": NotRequired[str | None], "text": str})
Query = TypedDict("Query", {"_id": Text, "text": Text})
InstructedQuery = TypedDict("InstructedQuery", {"_id": Text, "text": Text, "instruction": Text})
Judgement = TypedDict("Judgement", {"query-id": Text, "corpus-id": Text, "score": Whole})
Candidates = TypedDict("Candidates", {"query-id": Text, "corpus-ids": Texts})
Pair = TypedDict("Pair", {"sentence1": Text, "sentence2": Text})
ScoredPair = TypedDict("ScoredPair", {"sentence1": Text, "sentence2": Text, "score": Number})
LabelledPair = TypedDict("LabelledPair", {"sentence1": Text, "sentence2": Text, "label": Whole})
LabelledText = TypedDict("LabelledText", {"text": Text, "label": Text | Whole})
LabelsOfText = TypedDict("LabelsOfText", {"text": Text, "label": list[Text | Whole]})
Summarized = TypedDict(
    "Summarized", {"text": Text, "human_summaries": Texts, "machine_summaries": Texts, "relevance": list[FiniteFloat]}
)
Row = TypeVar("Row")
# Judgements also as BEIR ships them, and as TREC does.
JUDGEMENT_FORMATS = (".tsv", ".txt", *FORMATS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(Generic[Row]):
    """The rows of one file, each behind its line number, counted from 1.

    ``others`` are the short values of keys that the rows' shape has not, one mapping for each row.
    """

    path: Path
    rows: tuple[tuple[int, Row], ...]
    others: tuple[Mapping[str, Any], ...] = ()

    def __iter__(self) -> Iterator[Row]:
        return (row for _, row in self.rows)

    def fail(self, line: int, sentence: str) -> SourceError:
        """Return the error about a line, to be raised."""
        return SourceError(f"{self.path}:{line}: {sentence}")

    def with_fields(self) -> Iterator[tuple[Row, dict[str, Any]]]:
        """Yield each row with its fields, by the columns of a data set: other keys that every row has a value of.

        Raises:
            SourceError: one of them cannot be the name of a field, or they are too many.
        """
        names = [name for name in self.others[0] if all(name in other for other in self.others)]
        line = self.rows[0][0]
        for name in names:
            if not is_field(name):
                raise self.fail(line, f'"{shorten(name, 60)}" cannot be a field of samples; expected {SIGNS}')
        if len(names) > MOST_FIELDS - OURS:
            raise self.fail(line, f"{len(names)} keys are fields of samples; expected at most {MOST_FIELDS - OURS}")
        columns = [_as_one_kind([other[name] for other in self.others]) for name in names]
        for place, (_, row) in enumerate(self.rows):
            yield row, {f"{FIELD}{name}": column[place] for name, column in zip(names, columns, strict=True)}


def _as_one_kind(values: Sequence[Any]) -> list[Any]:
    """Return numbers, or all as text: true and false too, and numbers that few programs hold exactly."""
    if all(type(value) in (int, float) and abs(value) <= EXACT for value in values):
        return [float(value) for value in values] if float in map(type, values) else list(values)
    return [value if isinstance(value, str) else json.dumps(value) for value in values]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalFolder:
    """A corpus, queries and judgements whose ids fit together; ``candidates`` for reranking only."""

    corpus: Corpus
    queries: Lines[Query]
    judgements: dict[str, dict[str, int]]
    candidates: dict[str, list[str]] | None
    notes: tuple[str, ...] = ()


def find_file(path: Path, formats: Sequence[str] = FORMATS) -> Path:
    """Return the one file that is there of a table, in whatever format.

    Raises:
        SourceError: there are several; of none the name given is returned, which reading refuses.
    """
    forms = find_forms(path, formats)
    if len(forms) > 1:
        raise SourceError(f"{path.parent}: holds both {forms[0].name} and {forms[1].name}; keep one")
    return forms[0] if forms else path


def read_lines(path: Path, shape: type[Row]) -> Lines[Row]:
    """Read a table: of the name given, which is that of JSON Lines, or of another format or packed.

    Raises:
        SourceError: the file is missing or empty, there are two, or a line is no row or lacks what ``shape`` needs.
    """
    path = find_file(path)
    read = list(_check_rows(path, shape))
    if not read:
        raise SourceError(f"{path}: holds no line")
    rows = tuple((number, row) for number, row, _ in read)
    return Lines(path=path, rows=rows, others=tuple(others for _, _, others in read))


def _check_rows(path: Path, shape: type[Row]) -> Iterator[tuple[int, Row, dict[str, Any]]]:
    """Yield the line number of each row, the row, and the short values of keys that the shape has not."""
    adapter, cells = TypeAdapter(shape), format_of(path) == ".csv"
    for number, read in read_rows(path, SourceError):
        text = isinstance(read, str)
        found = parse_json(read, f"{path}:{number}", SourceError) if text else read  # each key once, finite numbers
        try:
            row: Any = (
                adapter.validate_json(read, strict=True) if text else adapter.validate_python(read, strict=not cells)
            )
        except ValidationError as failure:
            raise SourceError(f"{path}:{number}: {_sentence(failure)}") from None
        more = ((key, _as_value(value) if cells else value) for key, value in found.items() if key not in row)
        yield number, row, {key: value for key, value in more if _is_short(value)}


def _as_value(cell: str) -> Any:
    """Return the number that JSON writes so, None of an empty cell, or the text."""
    return json.loads(cell) if NUMBER.fullmatch(cell) else cell or None


def _is_short(value: Any) -> bool:
    short = isinstance(value, str) and len(value) <= LONGEST_FIELD
    return short or (isinstance(value, int | float) and math.isfinite(value))


def read_retrieval(folder: Path, *, candidates: bool, query: Any = Query) -> RetrievalFolder:
    """Read a folder in the BEIR layout: corpus.jsonl, queries.jsonl, qrels/test.jsonl or qrels/test.tsv.

    Args:
        folder: the folder.
        candidates: whether top_ranked.jsonl is needed too, as reranking does.
        query: the shape of a line of queries.

    Raises:
        SourceError: a line is wrong, an id occurs twice, or what is judged or ranked does not fit to the rest.
    """
    path = find_file(folder / "corpus.jsonl")
    corpus = read_corpus(path, ((number, row) for number, row, _ in _check_rows(path, Document)))
    queries = read_lines(folder / "queries.jsonl", query)
    documents_known, queries_known = corpus.names, _unique_ids(queries)
    judgements, notes = _read_judgements(folder / "qrels", documents_known, queries_known)
    if corpus.empty:
        notes = (*notes, f"{path}: {corpus.empty} of {corpus.table.num_rows} documents with neither a title nor a text")
    ranked = None
    if candidates:
        path = find_file(folder / "top_ranked.jsonl")
        ranked = _read_candidates(path, documents_known, queries_known)
        for name in judgements:
            if name not in ranked:
                raise SourceError(f'{path}: has no candidates for query "{name}"')
    return RetrievalFolder(corpus=corpus, queries=queries, judgements=judgements, candidates=ranked, notes=notes)


def make_dataset(**splits: Iterable[Mapping[str, Any]]) -> Any:
    """Return rows, by split, as mteb loads a data set without subsets."""
    from datasets import Dataset, DatasetDict

    return DatasetDict({name: Dataset.from_list([dict(row) for row in rows]) for name, rows in splits.items()})


def set_range(task: Any, scores: Sequence[float]) -> None:
    """Widen the range of a task's scores, which mteb scales to [0, 1] by it; correlations do not depend on it."""
    task.min_score, task.max_score = (
        most([*scores, vars(task).get(name, scores[0])]) for name, most in (("min_score", min), ("max_score", max))
    )


def read_labelled_pairs(path: Path) -> Lines[LabelledPair]:
    """Read pairs with the label 0 or 1, at least one of each.

    Raises:
        SourceError: a line is wrong, or all labels are the same.
    """
    pairs = read_lines(path, LabelledPair)
    for number, pair in pairs.rows:
        if pair["label"] not in (0, 1):
            raise pairs.fail(number, f"label = {pair['label']}; expected 0 or 1")
    _need_two_values(pairs, "label")
    return pairs


def read_scored_pairs(path: Path) -> Lines[ScoredPair]:
    """Read pairs with a score, at least two of which differ.

    Raises:
        SourceError: a line is wrong, or all scores are the same.
    """
    pairs = read_lines(path, ScoredPair)
    _need_two_values(pairs, "score")
    return pairs


def read_labelled_texts(path: Path) -> Lines[LabelledText]:
    """Read texts with a class, of at least two classes.

    Raises:
        SourceError: a line is wrong, or all labels are the same.
    """
    texts = read_lines(path, LabelledText)
    _need_two_values(texts, "label")
    return texts


def _need_two_values(lines: Lines[Any], key: str) -> None:
    if len({str(row[key]) for row in lines}) < 2:
        raise SourceError(f"{lines.path}: every {key} is the same; nothing could be told apart")


def _unique_ids(lines: Lines[Any]) -> set[str]:
    seen: dict[str, int] = {}
    for number, row in lines.rows:
        first = seen.setdefault(row["_id"], number)
        if first != number:
            raise lines.fail(number, f'_id "{row["_id"]}" is also in line {first}')
    return set(seen)


def _read_judgements(
    folder: Path, documents: Container[str], queries: set[str]
) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
    """Return judgements, and notes of those that can only lower a score: mteb counts them, so they count here."""
    path = find_file(folder / "test.jsonl", JUDGEMENT_FORMATS)
    if not path.is_file():
        raise SourceError(f"{folder}: holds neither test.jsonl nor test.tsv")
    lines = read_lines(path, Judgement) if format_of(path) in FORMATS else _read_columns(path, documents)
    judgements: dict[str, dict[str, int]] = {}
    for number, row in lines.rows:
        query, document, score = row["query-id"], row["corpus-id"], row["score"]
        _need_known(lines, number, "query-id", query, queries)
        if document in judgements.setdefault(query, {}):
            raise lines.fail(number, f'query "{query}" and document "{document}" are judged twice')
        judgements[query][document] = score
    absent = sum(document not in documents for graded in judgements.values() for document in graded)
    without = sum(max(graded.values()) <= 0 for graded in judgements.values())
    if without == len(judgements):
        raise SourceError(f"{path}: no query has a relevant document")
    if not any(score > 0 and name in documents for one in judgements.values() for name, score in one.items()):
        raise SourceError(f"{path}: no relevant document is in the corpus; are the ids others?")
    return judgements, tuple(
        f"{path}: {count} of {of} {what}, as in mteb"
        for count, of, what in (
            (absent, len(lines.rows), "judged documents not in the corpus, counted as not found"),
            (without, len(judgements), "queries without a relevant document, scored 0"),
        )
        if count
    )


def _read_columns(path: Path, documents: Container[str]) -> Lines[Judgement]:
    rows = (
        (number, Judgement({"query-id": query, "corpus-id": document, "score": score}))
        for number, query, document, score in read_judgements(path, SourceError, documents)
    )
    return Lines(path=path, rows=tuple(rows))


def _read_candidates(path: Path, documents: Container[str], queries: set[str]) -> dict[str, list[str]]:
    lines = read_lines(path, Candidates)
    ranked: dict[str, list[str]] = {}
    for number, row in lines.rows:
        query, ids = row["query-id"], row["corpus-ids"]
        _need_known(lines, number, "query-id", query, queries)
        if query in ranked:
            raise lines.fail(number, f'query "{query}" has two lists of candidates')
        if len(set(ids)) < len(ids) or not ids:
            raise lines.fail(number, "corpus-ids is empty or names a document twice")
        for document in ids:
            _need_known(lines, number, "corpus-ids", document, documents)
        ranked[query] = ids
    return ranked


def _need_known(lines: Lines[Any], number: int, key: str, value: str, known: Container[str]) -> None:
    if value not in known:
        raise lines.fail(number, f'{key} "{value}" is not in {"queries" if key == "query-id" else "corpus"}')


def _sentence(failure: ValidationError) -> str:
    first = failure.errors(include_url=False)[0]
    parts = [part for part in first["loc"] if not (isinstance(part, str) and part.startswith(("function-", "int")))]
    key = "".join(f"[{part}]" if isinstance(part, int) else part for part in parts)
    match first["type"]:
        case "json_invalid":
            error = first.get("ctx", {}).get("error", first["msg"])
            return f"not JSON: {re.sub(r' at line 1 column', ' at column', error)}"
        case "missing":
            return f'needs a key "{key}"'
        case "value_error":
            return f"{key} {first['msg'].removeprefix('Value error, ')}"
        case "string_type" if key == "label":
            return "label should be a string or a whole number"
    message = first["msg"].removeprefix("Input ").partition(", ")[0]
    return f"{key} {message}" if key else message
