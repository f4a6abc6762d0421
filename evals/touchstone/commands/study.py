"""``touchstone study``: measure and judge variants and exports of a model: how small or fast it may be."""

import argparse
from dataclasses import asdict
from typing import Any

from touchstone.commands.parsing import add_options, parse_options, tell, terminal
from touchstone.encoding.quantization import BITS
from touchstone.errors import ConfigError, suggest
from touchstone.files.writing import place, to_json, write_atomically
from touchstone.report.studies.study import render_study, render_study_page
from touchstone.session.studies.study import FULL_PRECISION, Variant, make_variants, run_study

PRECISIONS = tuple(name for name in BITS if name != FULL_PRECISION)
DTYPES = ("bfloat16", "float16", "float32")
FORMATS = (".html", ".json")


def add_command(commands: Any) -> None:
    """Add the parser."""
    study = commands.add_parser(
        "study",
        help="find the smallest variant of a model that loses little",
        description="Measure one model in several sizes, from one encoding, and say which is the smallest that loses "
        "little; or other models, such as its exports, beside it. "
        "Exit code 0: a variant is proven to be within the margin; 1: none is.",
    )
    study.add_argument(
        "compared", metavar="MODEL", nargs="+", help="as for --model of pytest evals; others are judged by the first"
    )
    study.add_argument("--dimensions", metavar="N,…", default="", help="widths to cut vectors to")
    study.add_argument("--quantize", metavar="NAME,…", default="", help=f"precisions: {', '.join(PRECISIONS)}")
    study.add_argument("--dtype", metavar="NAME,…", default="", help=f"data types of the weights: {', '.join(DTYPES)}")
    study.add_argument("--max-seq-length", metavar="N,…", default="", help="numbers of tokens to cut texts to")
    study.add_argument(
        "--report", metavar="FILE", action="append", default=[], help="write .html or .json (repeatable)"
    )
    add_options(study, "--suite", "--models", "--task", "--limit", "--device", "--store", "--margin", "--suite-margin",
                "--alpha", "--allow-python")  # fmt: skip
    study.set_defaults(run=_study)


def _study(parsed: argparse.Namespace) -> tuple[str, int]:
    options = parse_options(parsed)
    files = [place(options.cwd, text) for text in parsed.report]
    for file in files:
        if file.suffix not in FORMATS:
            raise ConfigError(f'--report = "{file.name}"; its suffix says the format, one of {", ".join(FORMATS)}')
    variants = make_variants(
        _numbers("--dimensions", parsed.dimensions),
        _names("--quantize", parsed.quantize, PRECISIONS),
        _names("--dtype", parsed.dtype, DTYPES),
        _numbers("--max-seq-length", parsed.max_seq_length),
    )
    model, *others = parsed.compared
    variants += [Variant(name="", settings={}, model=text) for text in others]
    if len(variants) == 1:
        raise ConfigError(
            "nothing to compare; name --dimensions, --quantize, --dtype, --max-seq-length or another model"
        )
    study = run_study(model, variants, options, tell)
    for file in files:
        write_atomically(file, render_study_page(study) if file.suffix == ".html" else to_json(asdict(study)))
    lines = [render_study(study, **terminal()), *(f"wrote {file}" for file in files)]
    return "\n".join(lines), 0 if study.smallest else 1


def _numbers(option: str, text: str) -> list[int]:
    words = list(filter(None, text.split(",")))
    for word in words:
        if not word.isdecimal() or not 0 < int(word) < 1 << 20:
            raise ConfigError(f'{option} = "{word}"; expected whole numbers with commas between them, such as 256,128')
    return list(dict.fromkeys(map(int, words)))


def _names(option: str, text: str, choices: tuple[str, ...]) -> list[str]:
    words = list(filter(None, text.split(",")))
    for word in words:
        if word not in choices:
            raise ConfigError(f'{option} = "{word}"; expected some of {", ".join(choices)}{suggest(word, choices)}')
    return list(dict.fromkeys(words))
