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
from touchstone.records.samples import FIELD, MAX_FIELDS, is_field
from touchstone.task_types.corpora import Corpus, read_corpus
from touchstone.task_types.judgements import read_judgements


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


# Longer texts are no useful fields; every task has length and language; larger numbers are not exact as floats.
MAX_FIELD_LENGTH, RESERVED_FIELDS, MAX_EXACT_NUMBER = 64, 2, 1 << 53
# A number as JSON writes it.
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?")


def _as_number(value: object) -> object:
    """Refuse text that only Python takes for a number, such as 1_0."""
    if isinstance(value, str) and not NUMBER.fullmatch(value):
        raise ValueError("should be a valid number")
    return value


def _as_whole(value: object) -> object:
    """Return a float such as 1.0 as 1: programs that read a column with gaps as floats write it so."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= MAX_EXACT_NUMBER else value


Text = Annotated[str, AfterValidator(_not_blank)]
Texts = Annotated[list[Text], FailFast()]
WholeNumber = Annotated[int, BeforeValidator(_as_whole), BeforeValidator(_as_number)]
Number = Annotated[FiniteFloat, BeforeValidator(_as_number)]
# The keys are those of the BEIR layout and of mteb's own data sets; of other keys in a line see `Lines.with_fields`.
Document = TypedDict("Document", {"_id": Text, "title": NotRequired[str | None], "text": str})
Query = TypedDict("Query", {"_id": Text, "text": Text})
InstructedQuery = TypedDict("InstructedQuery", {"_id": Text, "text": Text, "instruction": Text})
Judgement = TypedDict("Judgement", {"query-id": Text, "corpus-id": Text, "score": WholeNumber})
Candidates = TypedDict("Candidates", {"query-id": Text, "corpus-ids": Texts})
Pair = TypedDict("Pair", {"sentence1": Text, "sentence2": Text})
ScoredPair = TypedDict("ScoredPair", {"sentence1": Text, "sentence2": Text, "score": Number})
LabelledPair = TypedDict("LabelledPair", {"sentence1": Text, "sentence2": Text, "label": WholeNumber})
LabelledText = TypedDict("LabelledText", {"text": Text, "label": Text | WholeNumber})
LabelsOfText = TypedDict("LabelsOfText", {"text": Text, "label": list[Text | WholeNumber]})
SummarizedText = TypedDict(
    "SummarizedText",
    {"text": Text, "human_summaries": Texts, "machine_summaries": Texts, "relevance": list[FiniteFloat]},
)
Row = TypeVar("Row")
# So many names of files or columns are shown.
NAMES_SHOWN, NAME_LENGTH = 8, 40
# Judgements also in the formats of BEIR and TREC.
JUDGEMENT_FORMATS = (".tsv", ".txt", *FORMATS)


class OtherTableError(SourceError):
    """A table whose first row has not what a type needs, so that it may be one of another type.

    ``misfits`` is the number of keys that are missing or hold another kind of value.
    """

    def __init__(self, message: str, misfits: int = 0) -> None:
        super().__init__(message)
        self.misfits = misfits


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(Generic[Row]):
    """The line numbers, counted from 1, and rows of one file.

    ``extras`` are the short values of keys that the rows' shape has not, one mapping for each row.
    """

    path: Path
    rows: tuple[tuple[int, Row], ...]
    extras: tuple[Mapping[str, Any], ...] = ()

    def __iter__(self) -> Iterator[Row]:
        return (row for _, row in self.rows)

    def fail(self, line: int, sentence: str) -> SourceError:
        """Return the error about a line, to be raised."""
        return SourceError(f"{self.path}:{line}: {sentence}")

    def with_fields(self) -> Iterator[tuple[Row, dict[str, Any]]]:
        """Yield each row with its fields, which are the other keys that every row has, by column of a data set.

        Raises:
            SourceError: a key cannot be the name of a field, or there are too many.
        """
        names = [name for name in self.extras[0] if all(name in extra for extra in self.extras)]
        line = self.rows[0][0]
        for name in names:
            if not is_field(name):
                raise self.fail(line, f'"{shorten(name, 60)}" cannot be a field of samples; expected {SIGNS}')
        if len(names) > MAX_FIELDS - RESERVED_FIELDS:
            allowed = MAX_FIELDS - RESERVED_FIELDS
            raise self.fail(line, f"{len(names)} keys are fields of samples; expected at most {allowed}")
        columns = [_as_one_kind([extra[name] for extra in self.extras]) for name in names]
        for place, (_, row) in enumerate(self.rows):
            yield row, {f"{FIELD}{name}": column[place] for name, column in zip(names, columns, strict=True)}


def _as_one_kind(values: Sequence[Any]) -> list[Any]:
    """Return all values as numbers, or all as text; true, false and numbers that are not exact as floats are text."""
    if all(type(value) in (int, float) and abs(value) <= MAX_EXACT_NUMBER for value in values):
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
    """Return the file of a table in whichever format exists; the given path if there is none.

    Raises:
        SourceError: there are several.
    """
    forms = find_forms(path, formats)
    if len(forms) > 1:
        raise SourceError(f"{path.parent}: holds both {forms[0].name} and {forms[1].name}; keep one")
    return forms[0] if forms else path


def _need_file(path: Path, formats: Sequence[str] = FORMATS) -> Path:
    """Return the file of a table as `find_file` does.

    Raises:
        SourceError: there are several, or none; it says what the folder holds.
    """
    found, folder = find_file(path, formats), path.parent
    if found.exists() or not folder.parent.is_dir():
        return found
    fault = f"holds no {name_forms(path, formats)}"
    if not folder.is_dir():
        folder, fault = folder.parent, f"there is no folder {folder.name} with {name_forms(path, formats)}"
    raise SourceError(f"{folder}: {fault}; it holds {name_files(folder)}")


def name_forms(path: Path, formats: Sequence[str] = FORMATS) -> str:
    """Return the names that a table may have: ``corpus.jsonl, .csv or .parquet``."""
    first, *others = [path.suffix, *(end for end in formats if end != path.suffix)]
    return f"{path.stem}{', '.join([first, *others[:-1]])} or {others[-1]}"


def name_files(folder: Path) -> str:
    """Return the names of what a folder holds, the first few of them."""
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return _name_some([f"{path.name}/" if path.is_dir() else path.name for path in inside]) or "nothing"


def _name_some(names: Sequence[str]) -> str:
    shown = [shorten(name, NAME_LENGTH) for name in names[:NAMES_SHOWN]]
    return ", ".join([*shown, *(["…"] if len(names) > NAMES_SHOWN else [])])


def read_lines(path: Path, shape: type[Row]) -> Lines[Row]:
    """Read a table by its path in JSON Lines; the file may have another format or be compressed.

    Raises:
        SourceError: the file is missing or empty, there are two, or a line is not of this ``shape``.
    """
    path = _need_file(path)
    lines = list(_check_rows(path, shape))
    if not lines:
        raise SourceError(f"{path}: holds no line")
    rows = tuple((number, row) for number, row, _ in lines)
    return Lines(path=path, rows=rows, extras=tuple(extras for _, _, extras in lines))


def _check_rows(path: Path, shape: type[Row]) -> Iterator[tuple[int, Row, dict[str, Any]]]:
    """Yield the line number, the row, and the short values of its keys that the shape has not."""
    adapter, cells = TypeAdapter(shape), format_of(path) == ".csv"
    for place, (number, raw) in enumerate(read_rows(path, SourceError)):
        text = isinstance(raw, str)
        values = parse_json(raw, f"{path}:{number}", SourceError) if text else raw  # each key once, finite numbers
        try:
            row: Any = (
                adapter.validate_json(raw, strict=True) if text else adapter.validate_python(raw, strict=not cells)
            )
        except ValidationError as failure:
            raise _refuse(path, number, failure, None if place else values) from None
        extras = ((key, _as_value(value) if cells else value) for key, value in values.items() if key not in row)
        yield number, row, {key: value for key, value in extras if _is_short(value)}


def _refuse(path: Path, number: int, failure: ValidationError, first: Any) -> SourceError:
    """Return the error about a row; ``first`` are the values of the first one, None for another."""
    if not isinstance(first, Mapping):
        return SourceError(f"{path}:{number}: {_sentence(failure)}")
    details = [detail for detail in failure.errors(include_url=False) if detail["type"].endswith(("missing", "_type"))]
    misfits = len({detail["loc"][:1] for detail in details})
    missing = next((str(detail["loc"][-1]) for detail in details if detail["type"] == "missing"), None)
    if missing is None:
        return OtherTableError(f"{path}:{number}: {_sentence(failure)}", misfits)
    names = _name_some([f'"{name}"' for name in first])
    match format_of(path):
        case ".csv":
            fault = f'{path}: has no column "{missing}"; its columns are {names}'
        case ".parquet":  # a row has no key where the table has no value
            fault = f'{path}:{number}: has no value in a column "{missing}"; it has some in {names}'
        case _:
            fault = f'{path}:{number}: needs a key "{missing}"; it has {names}'
    return OtherTableError(f"{fault}; rename one of them if it holds that", misfits)


def _as_value(cell: str) -> Any:
    """Return a cell as a number if JSON has it, as None if it is empty, else as text."""
    return json.loads(cell) if NUMBER.fullmatch(cell) else cell or None


def _is_short(value: Any) -> bool:
    short = isinstance(value, str) and len(value) <= MAX_FIELD_LENGTH
    return short or (isinstance(value, int | float) and math.isfinite(value))


def read_retrieval(folder: Path, *, candidates: bool, query: Any = Query) -> RetrievalFolder:
    """Read a folder in the BEIR layout: corpus.jsonl, queries.jsonl, qrels/test.jsonl or qrels/test.tsv.

    Args:
        folder: the folder.
        candidates: whether top_ranked.jsonl is needed too, as for reranking.
        query: the shape of a line of queries.

    Raises:
        SourceError: a line is wrong, an id occurs twice, or a judgement or candidate names an id that does not exist.
    """
    path = _need_file(folder / "corpus.jsonl")
    corpus = read_corpus(path, ((number, row) for number, row, _ in _check_rows(path, Document)))
    queries = read_lines(folder / "queries.jsonl", query)
    document_ids, query_ids = corpus.names, _unique_ids(queries)
    judgements, notes = _read_judgements(folder / "qrels", document_ids, query_ids)
    if corpus.empty:
        notes = (*notes, f"{path}: {corpus.empty} of {corpus.table.num_rows} documents with neither a title nor a text")
    ranked = None
    if candidates:
        path = _need_file(folder / "top_ranked.jsonl")
        ranked = _read_candidates(path, document_ids, query_ids)
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
        first_line = seen.setdefault(row["_id"], number)
        if first_line != number:
            raise lines.fail(number, f'_id "{row["_id"]}" is also in line {first_line}')
    return set(seen)


def _read_judgements(
    folder: Path, documents: Container[str], queries: set[str]
) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
    """Return judgements, and notes of those that can only lower a score: they count here as they do in mteb."""
    path = _need_file(folder / "test.jsonl", JUDGEMENT_FORMATS)
    lines = read_lines(path, Judgement) if format_of(path) in FORMATS else _read_columns(path, documents)
    judgements: dict[str, dict[str, int]] = {}
    for number, row in lines.rows:
        query, document, score = row["query-id"], row["corpus-id"], row["score"]
        _check_id(lines, number, "query-id", query, queries)
        if document in judgements.setdefault(query, {}):
            raise lines.fail(number, f'query "{query}" and document "{document}" are judged twice')
        judgements[query][document] = score
    absent = sum(document not in documents for graded in judgements.values() for document in graded)
    without = sum(max(graded.values()) <= 0 for graded in judgements.values())
    unjudged = len(queries) - len(judgements)
    if without == len(judgements):
        raise SourceError(f"{path}: no query has a relevant document")
    if not any(score > 0 and name in documents for grades in judgements.values() for name, score in grades.items()):
        raise SourceError(f"{path}: no relevant document is in the corpus; do the ids match?")
    return judgements, tuple(
        f"{path}: {count} of {of} {description}, as in mteb"
        for count, of, description in (
            (absent, len(lines.rows), "judged documents not in the corpus, counted as not found"),
            (without, len(judgements), "queries without a relevant document, scored 0"),
            (unjudged, len(queries), "queries without a judgement, left out"),
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
        _check_id(lines, number, "query-id", query, queries)
        if query in ranked:
            raise lines.fail(number, f'query "{query}" has two lists of candidates')
        if len(set(ids)) < len(ids) or not ids:
            raise lines.fail(number, "corpus-ids is empty or names a document twice")
        for document in ids:
            _check_id(lines, number, "corpus-ids", document, documents)
        ranked[query] = ids
    return ranked


def _check_id(lines: Lines[Any], number: int, key: str, value: str, ids: Container[str]) -> None:
    if value not in ids:
        raise lines.fail(number, f'{key} "{value}" is not in {"queries" if key == "query-id" else "corpus"}')


def _sentence(failure: ValidationError) -> str:
    detail = failure.errors(include_url=False)[0]
    parts = [part for part in detail["loc"] if not (isinstance(part, str) and part.startswith(("function-", "int")))]
    key = "".join(f"[{part}]" if isinstance(part, int) else part for part in parts)
    match detail["type"]:
        case "json_invalid":
            error = detail.get("ctx", {}).get("error", detail["msg"])
            return f"not JSON: {re.sub(r' at line 1 column', ' at column', error)}"
        case "missing":
            return f'needs a key "{key}"'
        case "value_error":
            return f"{key} {detail['msg'].removeprefix('Value error, ')}"
        case "string_type" if key == "label":
            return "label should be a string or a whole number"
    message = detail["msg"].removeprefix("Input ").partition(", ")[0]
    return f"{key} {message}" if key else message
