"""Judgements in columns: BEIR's three between tabs, or TREC's four with any space between; a header may come first."""

import re
from collections.abc import Container, Iterator
from pathlib import Path

from touchstone.errors import TouchstoneError
from touchstone.files.tables import read_text_lines
from touchstone.formatting import shorten

# Only these separate columns: other characters that are space in Unicode may be part of an id.
SPACE = " \t\n\v\f\r"
COLUMN = re.compile(rf"[^{SPACE}]+")
SCORE = re.compile(r"([+-]?[0-9]{1,9})(?:\.0*)?")
# Names of the last column in a header, and prefixes of the name of a column with documents.
SCORE_NAMES, DOCUMENT_PREFIXES = {"score", "relevance", "rel", "label", "grade"}, ("corpus", "doc", "did", "pid")


def read_judgements(
    path: Path, error: type[TouchstoneError], documents: Container[str] = ()
) -> Iterator[tuple[int, str, str, int]]:
    """Yield the line, query, document and score of each judgement.

    Args:
        path: the file, which may be compressed by gzip.
        error: the type to raise.
        documents: the ids of the corpus, if known.

    Raises:
        TouchstoneError: of the given type; there is no such file, a line has no judgement, or no line has one.
    """
    width, has_judgement = 0, False
    for number, line in read_text_lines(path, error):
        where, text = f"{path}:{number}", line.strip(SPACE)
        if not text:
            continue
        query, *between, document, grade = cells = _split(text, where, error)
        if width and len(cells) != width:
            raise error(f"{where}: has {len(cells)} columns; expected {width}, as the lines before")
        score = SCORE.fullmatch(grade)
        if score is not None:
            if between and document not in documents and between[0] not in ("0", "Q0") and between[0] in documents:
                raise error(f"{where}: names a document in its second column; expected it in the third")
            has_judgement = True
            yield number, query, document, int(score[1])
        elif width or not _is_header(cells, where, error):
            raise error(f'{where}: the score "{shorten(grade, 60)}" is not a whole number')
        width = len(cells)
    if not has_judgement:
        raise error(f"{path}: holds no judgement")


def _split(text: str, where: str, error: type[TouchstoneError]) -> list[str]:
    """Return the columns of a line; between tabs an id may have spaces inside."""
    tabbed, spaced = [cell.strip(SPACE) for cell in text.split("\t")], COLUMN.findall(text)
    if len(tabbed) in (3, 4) and tabbed[0] and tabbed[-2] and COLUMN.fullmatch(tabbed[-1]):
        return tabbed
    if len(spaced) != 4:
        raise error(f"{where}: expected query, document and score between tabs, or the four columns of TREC")
    return spaced


def _is_header(cells: list[str], where: str, error: type[TouchstoneError]) -> bool:
    """Return True if a line names its columns, which a wrong score does not."""
    first_name, last_name = cells[0].lower(), cells[-1].lower()
    if last_name in SCORE_NAMES and first_name.startswith(DOCUMENT_PREFIXES):
        raise error(f"{where}: names documents first; expected query-id, corpus-id and score")
    return last_name in SCORE_NAMES or ("query" in first_name and not any(map(str.isdigit, last_name)))
