"""Tables that strangers wrote: JSON Lines, CSV with a header, or Parquet, each packed by gzip or not; row by row."""

import csv
import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from touchstone.errors import TouchstoneError
from touchstone.files.footers import read_footer
from touchstone.files.parquet import COMPRESSION_LIMIT, is_plain, read_bounded
from touchstone.files.writing import LARGEST, open_regular
from touchstone.formatting import shorten

FORMATS = (".jsonl", ".csv", ".parquet")
# Rows that a file of any size may have; a row of a larger one takes a byte or more, packed as it may be.
FEW_ROWS, AT_ONCE = 1 << 16, 10_000


def find_forms(path: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Return the files of a table that are there: that of the name, those of other formats, and packed ones."""
    names = [path.with_suffix(end) for end in formats] if path.suffix in formats else [path]
    return [form for name in names for form in (name, name.with_name(f"{name.name}.gz")) if form.is_file()]


def format_of(path: Path) -> str:
    """Return how the name of a file ends that says its format, such as ``.csv``."""
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def read_rows(path: Path, error: type[TouchstoneError]) -> Iterator[tuple[int, Any]]:
    """Yield the number of each row, and of JSON Lines its text, of others its values by column, of CSV as texts.

    The number is that of its first line, but of Parquet its own. What Parquet has no value of, a row has no key of.

    Raises:
        TouchstoneError: of the type given; there is no such file, or it cannot be read.
    """
    match format_of(path):
        case ".csv":
            yield from _read_csv(path, error)
        case ".parquet":
            yield from enumerate(_read_parquet(path, error), start=1)
        case _:
            yield from ((number, line.rstrip("\r\n")) for number, line in read_text_lines(path, error) if line.strip())


def read_text_lines(path: Path, error: type[TouchstoneError]) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file with their numbers and their ends; the file may be large, a line may not.

    Raises:
        TouchstoneError: of the type given; there is no such file, or it is not text.
    """
    offset = 0
    for number, line in enumerate(_read_lines(path, error), start=1):
        if len(line) > LARGEST:
            raise error(f"{path}:{number}: the line is longer than {LARGEST >> 20} MB")
        try:
            yield number, line.decode("utf-8" if offset else "utf-8-sig")
        except UnicodeDecodeError as failure:
            raise error(f"{path}: not UTF-8 at byte {offset + failure.start}") from None
        offset += len(line)


def _read_lines(path: Path, error: type[TouchstoneError]) -> Iterator[bytes]:
    """Yield the lines of a file, cut a byte behind the longest that one may be; unpack it where it is packed."""
    with open_regular(path, error) as file:
        if path.suffix != ".gz":
            yield from iter(lambda: file.readline(LARGEST + 1), b"")
            return
        left = max(LARGEST, COMPRESSION_LIMIT * path.stat().st_size)
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                while line := unpacked.readline(LARGEST + 1):
                    left -= len(line)
                    if left < 0:
                        raise error(f"{path}: comes to more than {COMPRESSION_LIMIT} times its size; unpack it")
                    yield line
        except (OSError, EOFError, zlib.error) as failure:
            raise error(f"{path}: not packed by gzip: {failure}") from None


def _read_csv(path: Path, error: type[TouchstoneError]) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(LARGEST)
    reader = csv.reader((line for _, line in read_text_lines(path, error)), strict=True)
    header: list[str] = []
    number = 1
    try:
        for cells in reader:
            if cells and not header:
                header = cells
                if twice := next((name for name in header if name and header.count(name) > 1), None):
                    raise error(f'{path}:{number}: has two columns "{shorten(twice, 60)}"')
            elif cells:
                if len(cells) != len(header):
                    raise error(f"{path}:{number}: has {len(cells)} cells; expected {len(header)}, as the header has")
                yield number, {name: cell for name, cell in zip(header, cells, strict=True) if name}
            number = reader.line_num + 1
    except csv.Error as failure:
        raise error(f"{path}:{number}: not CSV: {failure}") from None


def _read_parquet(path: Path, error: type[TouchstoneError]) -> Iterator[dict[str, Any]]:
    import pyarrow as pa

    content = b"".join(_read_lines(path, error))
    try:
        if (rows := read_footer(BytesIO(content)).rows) > max(FEW_ROWS, len(content)):
            raise error(f"{path}: has {rows} rows in {len(content)} bytes, more than any data; make it anew")
        table = read_bounded(content, str(path), {}, others=is_plain, longest=LARGEST)
    except TouchstoneError as failure:
        raise error(str(failure)) from None
    except (pa.ArrowException, OSError, ValueError) as failure:
        raise error(f"{path}: not Parquet: {shorten(str(failure), 200)}") from None
    if len(set(table.schema.names)) < len(table.schema.names):
        raise error(f"{path}: has two columns of one name")
    for batch in table.to_batches(max_chunksize=AT_ONCE):
        for row in batch.to_pylist():
            # Where there is no number, pandas writes NaN.
            yield {k: v for k, v in row.items() if v is not None and not (isinstance(v, float) and math.isnan(v))}
