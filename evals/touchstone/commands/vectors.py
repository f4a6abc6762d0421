"""``touchstone vectors``: judge whether an index of one model's vectors can stay when another model replaces it."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from touchstone.commands.parsing import add_options, parse_options, tell
from touchstone.errors import ConfigError
from touchstone.files.json import load
from touchstone.files.tables import FORMATS, read_rows
from touchstone.files.writing import place, read_bytes, to_json, write_atomically
from touchstone.formatting import count
from touchstone.records.studies import Held, IndexVerdict
from touchstone.report.studies.vectors import render_vectors, render_vectors_page
from touchstone.session.studies.canaries import hold_or_check, probe
from touchstone.session.studies.vectors import study_vectors

EXIT_CODES = {"interchangeable": 0, "queries first": 0, "re-embed": 1, "inconclusive": 9}


def add_command(commands: Any) -> None:
    """Add the parser."""
    vectors = commands.add_parser(
        "vectors",
        help="judge whether an index of A's vectors can stay for model B",
        description="Exit code 0: interchangeable, or queries may go first; 1: re-embed; 9: inconclusive.",
    )
    vectors.add_argument("old", metavar="A", help="the model of the index, as for --model of pytest evals")
    vectors.add_argument("new", metavar="B", nargs="?", help="the model that replaces A")
    vectors.add_argument(
        "--texts", metavar="FILE", help="your own texts instead of a suite: .txt, or a column text of .jsonl, "
        ".csv, .parquet",
    )  # fmt: skip
    vectors.add_argument(
        "--canaries", metavar="FILE", help="with A alone: write a few texts and vectors, or check them if FILE exists"
    )
    vectors.add_argument(
        "--concurrency-probe", action="store_true", help="with A alone: encode texts alone, in batches, and 32 at once"
    )
    vectors.add_argument("--report", metavar="FILE", help="write .json, or for two models .html")
    add_options(vectors, "--suite", "--models", "--task", "--limit", "--device", "--store", "--bound", "--alpha",
                "--reuse-api", "--allow-python")  # fmt: skip
    vectors.set_defaults(run=_vectors)


def _vectors(parsed: argparse.Namespace) -> tuple[str, int]:
    options = parse_options(parsed)
    file = None if parsed.report is None else place(options.cwd, parsed.report)
    formats = (".json",) if parsed.canaries or parsed.concurrency_probe else (".json", ".html")
    if file is not None and file.suffix not in formats:
        raise ConfigError(f'--report = "{parsed.report}"; expected a name that ends in {" or ".join(formats)}')
    texts = None if parsed.texts is None else read_texts(place(options.cwd, parsed.texts))
    result: IndexVerdict | Held
    if parsed.canaries or parsed.concurrency_probe:
        if parsed.new is not None or (parsed.canaries and parsed.concurrency_probe):
            raise ConfigError("--canaries and --concurrency-probe are each of one model alone; leave the others out")
        canary_file = place(options.cwd, parsed.canaries or "")
        result = (
            probe(parsed.old, options, texts)
            if parsed.concurrency_probe
            else hold_or_check(parsed.old, canary_file, options, texts)
        )
        lines = [f"{result.model}, {count(result.texts, 'text')}: {result.verdict}: {result.reason}"]
    elif parsed.new is None:
        raise ConfigError("B is missing, the model that replaces A; with A alone go --canaries and --concurrency-probe")
    else:
        result = study_vectors(parsed.old, parsed.new, options, texts, tell)
        lines = [render_vectors(result)]
    if file is not None:
        if isinstance(result, IndexVerdict) and file.suffix == ".html":
            write_atomically(file, render_vectors_page(result))
        else:
            write_atomically(file, to_json(asdict(result)))
        lines.append(f"wrote {file}")
    return "\n".join(lines), EXIT_CODES[result.verdict]


def read_texts(path: Path) -> list[str]:
    """Return the texts of a file, each line of ``.txt`` or the column ``text`` of a table.

    Raises:
        ConfigError: there is no such file, it is of another kind, or a row has no text.
    """
    if path.suffix == ".txt":
        lines = [line.strip() for line in read_bytes(path, ConfigError).decode(errors="replace").splitlines()]
        return [line for line in lines if line]
    if path.suffix not in FORMATS:
        raise ConfigError(f'--texts = "{path.name}"; expected .txt, or a column text of {", ".join(FORMATS)}')
    texts = []
    for number, row in read_rows(path, ConfigError):
        try:
            text = (load(row) if isinstance(row, str) else row)["text"]
        except (ValueError, KeyError, TypeError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise ConfigError(f'{path}, row {number}: expected a value "text"')
        texts.append(text)
    return texts
