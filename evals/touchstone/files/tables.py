"""Untrusted tables, read row by row: JSON Lines, CSV with a header, or Parquet, compressed by gzip or not."""

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
from touchstone.files.writing import MAX_FILE_BYTES, open_regular
from touchstone.formatting import shorten

FORMATS = (".jsonl", ".csv", ".parquet")
# What parts columns elsewhere, as it is shown.
OTHER_SEPARATORS = {";": ";", "\t": " (tab) ", "|": "|"}
# A file of any size may have so many rows; in a larger table each row takes a byte or more, even compressed.
MIN_ROW_LIMIT, ROWS_AT_ONCE = 1 << 16, 10_000


def find_forms(path: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Return the existing files of a table: with its own name, in other formats, and compressed."""
    names = [path.with_suffix(end) for end in formats] if path.suffix in formats else [path]
    return [form for name in names for form in (name, name.with_name(f"{name.name}.gz")) if form.is_file()]


def format_of(path: Path) -> str:
    """Return the suffix of a file's format, such as ``.csv``."""
    return path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix


def read_rows(path: Path, error: type[TouchstoneError]) -> Iterator[tuple[int, Any]]:
    """Yield the number of each row, and its text in JSON Lines, else its values by column, which are texts in CSV.

    The number is that of its first line, in Parquet that of the row. A row has no key where Parquet has no value.

    Raises:
        TouchstoneError: of the given type; there is no such file, or it cannot be read.
    """
    match format_of(path):
        case ".csv":
            yield from _read_csv(path, error)
        case ".parquet":
            yield from enumerate(_read_parquet(path, error), start=1)
        case _:
            yield from ((number, line.rstrip("\r\n")) for number, line in read_text_lines(path, error) if line.strip())


def read_text_lines(path: Path, error: type[TouchstoneError]) -> Iterator[tuple[int, str]]:
    """Yield the numbers and lines of a file, with line ends; the file may be large, a line may not.

    Raises:
        TouchstoneError: of the given type; there is no such file, or it is not text.
    """
    offset = 0
    for number, line in enumerate(_read_lines(path, error), start=1):
        if len(line) > MAX_FILE_BYTES:
            raise error(f"{path}:{number}: the line is longer than {MAX_FILE_BYTES >> 20} MB")
        try:
            yield number, line.decode("utf-8" if offset else "utf-8-sig")
        except UnicodeDecodeError as failure:
            raise error(f"{path}: not UTF-8 at byte {offset + failure.start}") from None
        offset += len(line)


def _read_lines(path: Path, error: type[TouchstoneError]) -> Iterator[bytes]:
    """Yield the lines of a file, which may be compressed; a line that is too long is truncated one byte later."""
    with open_regular(path, error) as file:
        if path.suffix != ".gz":
            yield from iter(lambda: file.readline(MAX_FILE_BYTES + 1), b"")
            return
        remaining = max(MAX_FILE_BYTES, COMPRESSION_LIMIT * path.stat().st_size)
        try:
            with gzip.GzipFile(fileobj=file) as unpacked:
                while line := unpacked.readline(MAX_FILE_BYTES + 1):
                    remaining -= len(line)
                    if remaining < 0:
                        raise error(f"{path}: comes to more than {COMPRESSION_LIMIT} times its size; unpack it")
                    yield line
        except (OSError, EOFError, zlib.error) as failure:
            raise error(f"{path}: not packed by gzip: {failure}") from None


def _read_csv(path: Path, error: type[TouchstoneError]) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(MAX_FILE_BYTES)
    reader = csv.reader((line for _, line in read_text_lines(path, error)), strict=True)
    header: list[str] = []
    number = 1
    try:
        for cells in reader:
            if cells and not header:
                header = cells
                _need_commas(path, number, header, error)
                if duplicate := next((name for name in header if name and header.count(name) > 1), None):
                    raise error(f'{path}:{number}: has two columns "{shorten(duplicate, 60)}"')
            elif cells:
                if len(cells) != len(header):
                    raise error(f"{path}:{number}: has {len(cells)} cells; expected {len(header)}, as the header has")
                yield number, {name: cell for name, cell in zip(header, cells, strict=True) if name}
            number = reader.line_num + 1
    except csv.Error as failure:
        raise error(f"{path}:{number}: not CSV: {failure}") from None


def _need_commas(path: Path, number: int, header: list[str], error: type[TouchstoneError]) -> None:
    """Refuse a header that other signs than commas part."""
    for sign, name in OTHER_SEPARATORS.items():
        if len(header) == 1 and sign in header[0]:
            shown = shorten(header[0].replace(sign, name), 60)
            raise error(f'{path}:{number}: the header is one column, "{shown}"; columns are parted by commas here')


def _read_parquet(path: Path, error: type[TouchstoneError]) -> Iterator[dict[str, Any]]:
    import pyarrow as pa

    content = b"".join(_read_lines(path, error))
    try:
        if (rows := read_footer(BytesIO(content)).rows) > max(MIN_ROW_LIMIT, len(content)):
            raise error(f"{path}: has {rows} rows in {len(content)} bytes, more than any data; make it anew")
        table = read_bounded(content, str(path), {}, is_extra=is_plain, max_text_bytes=MAX_FILE_BYTES)
    except TouchstoneError as failure:
        raise error(str(failure)) from None
    except (pa.ArrowException, OSError, ValueError) as failure:
        raise error(f"{path}: not Parquet: {shorten(str(failure), 200)}") from None
    if len(set(table.schema.names)) < len(table.schema.names):
        raise error(f"{path}: has two columns of one name")
    for batch in table.to_batches(max_chunksize=ROWS_AT_ONCE):
        for row in batch.to_pylist():
            # pandas writes NaN for a missing number.
            yield {k: v for k, v in row.items() if v is not None and not (isinstance(v, float) and math.isnan(v))}
