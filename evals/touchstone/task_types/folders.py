"""Read a user's folder of JSON Lines; every wrong line is one sentence with its file and number."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, NotRequired, TypeVar

from pydantic import AfterValidator, FailFast, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from touchstone.errors import SourceError
from touchstone.files.json import parse_json
from touchstone.files.writing import LARGEST, open_regular


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]
# The keys are those of the BEIR layout and of mteb's own data sets; other keys in a line are ignored.
Document = TypedDict("Document", {"_id": Text, "title": NotRequired[str], "text": Text})
Query = TypedDict("Query", {"_id": Text, "text": Text})
Judgement = TypedDict("Judgement", {"query-id": Text, "corpus-id": Text, "score": int})
Candidates = TypedDict("Candidates", {"query-id": Text, "corpus-ids": Annotated[list[Text], FailFast()]})
ScoredPair = TypedDict("ScoredPair", {"sentence1": Text, "sentence2": Text, "score": FiniteFloat})
LabelledPair = TypedDict("LabelledPair", {"sentence1": Text, "sentence2": Text, "label": int})
LabelledText = TypedDict("LabelledText", {"text": Text, "label": Text | int})
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(Generic[Row]):
    """The rows of one file, each behind its line number, counted from 1."""

    path: Path
    rows: tuple[tuple[int, Row], ...]

    def __iter__(self) -> Iterator[Row]:
        return (row for _, row in self.rows)

    def fail(self, line: int, sentence: str) -> SourceError:
        """Return the error about a line, to be raised."""
        return SourceError(f"{self.path}:{line}: {sentence}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalFolder:
    """A corpus, queries and judgements whose ids fit together; ``candidates`` for reranking only."""

    corpus: Lines[Document]
    queries: Lines[Query]
    judgements: dict[str, dict[str, int]]
    candidates: dict[str, list[str]] | None


def read_lines(path: Path, shape: type[Row]) -> Lines[Row]:
    """Read a file of JSON Lines; blank lines are passed over.

    Raises:
        SourceError: the file is missing or empty, or a line is not JSON or lacks what ``shape`` needs.
    """
    adapter = TypeAdapter(shape)
    rows: list[tuple[int, Row]] = []
    for number, line in _read(path):
        if not line.strip():
            continue
        parse_json(line, f"{path}:{number}", SourceError)  # each key once, and numbers that there are
        try:
            rows.append((number, adapter.validate_json(line, strict=True)))
        except ValidationError as failure:
            raise SourceError(f"{path}:{number}: {_sentence(failure)}") from None
    if not rows:
        raise SourceError(f"{path}: holds no line")
    return Lines(path=path, rows=tuple(rows))


def _read(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers; the file may be large, a line may not."""
    number = offset = 0
    with open_regular(path, SourceError) as file:
        while line := file.readline(LARGEST + 1):
            number += 1
            if len(line) > LARGEST:
                raise SourceError(f"{path}:{number}: the line is longer than {LARGEST >> 20} MB")
            try:
                yield number, line.decode("utf-8" if offset else "utf-8-sig").rstrip("\r\n")
            except UnicodeDecodeError as failure:
                raise SourceError(f"{path}: not UTF-8 at byte {offset + failure.start}") from None
            offset += len(line)


def read_retrieval(folder: Path, *, candidates: bool) -> RetrievalFolder:
    """Read a folder in the BEIR layout: corpus.jsonl, queries.jsonl, qrels/test.jsonl or qrels/test.tsv.

    Args:
        folder: the folder.
        candidates: whether top_ranked.jsonl is needed too, as reranking does.

    Raises:
        SourceError: a line is wrong, an id occurs twice, or one is judged that is not there.
    """
    corpus = read_lines(folder / "corpus.jsonl", Document)
    queries = read_lines(folder / "queries.jsonl", Query)
    documents_known, queries_known = _unique_ids(corpus), _unique_ids(queries)
    judgements = _read_judgements(folder / "qrels", documents_known, queries_known)
    ranked = None
    if candidates:
        ranked = _read_candidates(folder / "top_ranked.jsonl", documents_known, queries_known)
        for query in judgements:
            if query not in ranked:
                raise SourceError(f'{folder / "top_ranked.jsonl"}: has no candidates for query "{query}"')
    return RetrievalFolder(corpus=corpus, queries=queries, judgements=judgements, candidates=ranked)


def make_dataset(**splits: Iterable[Mapping[str, Any]]) -> Any:
    """Return rows, by split, as mteb loads a data set without subsets."""
    from datasets import Dataset, DatasetDict

    return DatasetDict({name: Dataset.from_list([dict(row) for row in rows]) for name, rows in splits.items()})


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


def _read_judgements(folder: Path, documents: set[str], queries: set[str]) -> dict[str, dict[str, int]]:
    lines = _read_tsv(folder / "test.tsv") if _has_tsv(folder) else read_lines(folder / "test.jsonl", Judgement)
    judgements: dict[str, dict[str, int]] = {}
    for number, row in lines.rows:
        query, document, score = row["query-id"], row["corpus-id"], row["score"]
        _need_known(lines, number, {"query-id": (query, queries), "corpus-id": (document, documents)})
        if score < 0:
            raise lines.fail(number, f"score = {score}; expected 0 or more")
        if document in judgements.setdefault(query, {}):
            raise lines.fail(number, f'query "{query}" and document "{document}" are judged twice')
        judgements[query][document] = score
    for query, graded in judgements.items():
        if not any(graded.values()):
            raise SourceError(f'{lines.path}: query "{query}" has no relevant document')
    return judgements


def _has_tsv(folder: Path) -> bool:
    tsv, jsonl = (folder / "test.tsv").is_file(), (folder / "test.jsonl").is_file()
    if tsv and jsonl:
        raise SourceError(f"{folder}: holds both test.tsv and test.jsonl; keep one")
    if not tsv and not jsonl:
        raise SourceError(f"{folder}: holds neither test.jsonl nor test.tsv")
    return tsv


def _read_tsv(path: Path) -> Lines[Judgement]:
    """Read judgements as BEIR ships them: a header line, then query, document and score between tabs."""
    rows: list[tuple[int, Judgement]] = []
    for number, line in _read(path):
        cells = line.rstrip("\r").split("\t")
        if not line.strip() or (number == 1 and cells[-1] == "score"):
            continue
        if len(cells) != 3 or not re.fullmatch("-?[0-9]{1,9}", cells[2]):
            raise SourceError(f"{path}:{number}: expected query-id, corpus-id and a whole score between tabs")
        rows.append((number, {"query-id": cells[0], "corpus-id": cells[1], "score": int(cells[2])}))
    if not rows:
        raise SourceError(f"{path}: holds no line")
    return Lines(path=path, rows=tuple(rows))


def _read_candidates(path: Path, documents: set[str], queries: set[str]) -> dict[str, list[str]]:
    lines = read_lines(path, Candidates)
    ranked: dict[str, list[str]] = {}
    for number, row in lines.rows:
        query, ids = row["query-id"], row["corpus-ids"]
        _need_known(lines, number, {"query-id": (query, queries)})
        if query in ranked:
            raise lines.fail(number, f'query "{query}" has two lists of candidates')
        if len(set(ids)) < len(ids) or not ids:
            raise lines.fail(number, "corpus-ids is empty or names a document twice")
        for document in ids:
            _need_known(lines, number, {"corpus-ids": (document, documents)})
        ranked[query] = ids
    return ranked


def _need_known(lines: Lines[Any], number: int, ids: dict[str, tuple[str, Iterable[str]]]) -> None:
    for key, (value, known) in ids.items():
        if value not in known:
            what = "queries.jsonl" if key == "query-id" else "corpus.jsonl"
            raise lines.fail(number, f'{key} "{value}" is not in {what}')


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
    message = first["msg"].removeprefix("Input ")
    return f"{key} {message}" if key else message
