"""A study: one model in several sizes, each measured and judged by the whole one; what each takes in an index."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from touchstone.baselines.files import Baselines
from touchstone.config.models import load_models
from touchstone.config.options import Options
from touchstone.encoding.quantization import BITS
from touchstone.errors import ConfigError, ModelError
from touchstone.judging.overall import policy_of
from touchstone.models.api.guessing import Guesses
from touchstone.models.kinds import find_typed
from touchstone.records.lineups import line_up
from touchstone.records.outcomes import Settings
from touchstone.records.runs import Record, Run
from touchstone.records.studies import Row, Study
from touchstone.session.compare import Side, compare, load_side, sharing, sum_up
from touchstone.session.studies.search_time import MILLION, bytes_of, search_seconds
from touchstone.store.runs import read_run

FULL_PRECISION = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A size of a model, or another one: a short name, and what its specification says beside the whole model's.

    ``model`` is the other one as one would type it, None for a variant of the whole model.
    """

    name: str
    settings: Mapping[str, str]
    model: str | None = None

    def text(self, model: str) -> str:
        """Return the variant as one would type it."""
        model = self.model or model
        settings = ",".join(f"{key}={value}" for key, value in self.settings.items())
        return f"{model}{',' if '@' in model else '@'}{settings}" if settings else model


def make_variants(
    dimensions: Sequence[int], precisions: Sequence[str], dtypes: Sequence[str], lengths: Sequence[int]
) -> list[Variant]:
    """Return the variants of a model, the whole one first: each width in each precision, then the others by themselves.

    Widths and precisions are of vectors that are there already; a data type or length encodes anew.
    """
    variants = []
    for width, precision in product((None, *dimensions), (None, *precisions)):
        options = {"truncate_dim": width and str(width), "quantize": precision}
        settings = {key: value for key, value in options.items() if value}
        variants.append(Variant(name=" ".join(settings.values()), settings=settings))
    variants += [Variant(name=name, settings={"dtype": name}) for name in dtypes]
    return variants + [Variant(name=f"{length} tokens", settings={"max_seq_length": str(length)}) for length in lengths]


def run_study(model: str, variants: Sequence[Variant], options: Options, tell: Callable[[str], None]) -> Study:
    """Measure a model and its variants in one run of ``pytest evals``, and judge each by the whole model.

    The vectors of the first are those of most others, and what was measured before is not measured again.

    Args:
        model: as for ``--model``.
        variants: from `make_variants`, the whole model first, and other models.
        options: what was typed: suites, store, margins and so on.
        tell: called with each line of the run that says how a case ended.

    Raises:
        TouchstoneError: the run measured nothing of the whole model.
    """
    specs, guess = load_models(*options.models_files), Guesses()
    aliases = [find_typed(variant.text(model), specs, options, "MODEL", guess=guess).alias for variant in variants]
    if any(variant.model for variant in variants):
        variants = [replace(v, name=v.name or alias) for v, alias in zip(variants, aliases, strict=True)]
    if twice := [alias for alias, count in Counter(aliases).items() if count > 1]:
        raise ConfigError(f"{twice[0]} is named twice; give one of them another name, as in FOLDER=NAME")
    baselines = Baselines(options.baselines)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        run = _measure(file, [variant.text(model) for variant in variants], options, tell)
        measured = {record.alias for record in run.records if record.score is not None}
        if aliases[0] not in measured:
            reason = next((record.error for record in run.records if record.error), "nothing was measured")
            raise ModelError(f"{aliases[0]}: {reason}")
        sides = {
            alias: load_side(f"{file}:{alias}", options.cwd, baselines, options.store_folder).called(alias)
            for alias in aliases
            if alias in measured
        }
    rows = [_row(variant, alias, sides, run, options) for variant, alias in zip(variants, aliases, strict=True)]
    whole = rows[0]
    tasks = tuple(dict.fromkeys(record.task for record in run.records))
    policy = options.override(policy_of(run.records))
    order = sorted(rows, key=lambda row: (row.bytes, row is whole, row.name))
    margin = policy.margin if len(tasks) == 1 else policy.suite_margin
    lineup = line_up({row.name: {r.task: r.speed for r in run.records if r.alias == row.alias} for row in rows})
    return Study(
        model=model, suite=run.suite, tasks=tasks, margin=margin, whole=whole.name, rows=tuple(order), lineup=lineup
    )


def _measure(file: Path, models: Sequence[str], options: Options, tell: Callable[[str], None]) -> Run:
    """Run the suites with all models, in a process of pytest's own, and return the record."""
    test_file = options.cwd / "evals" / "test_tasks.py"
    target = [str(test_file)] if test_file.is_file() else ["-p", "touchstone.plugin", "--pyargs", "touchstone"]
    typed = [word for text in options.suites for word in ("--suite", text)]
    typed += [word for text in models for word in ("--model", text)]
    typed += [word for path in options.models_files for word in ("--models", str(path))]
    typed += [word for pattern in options.tasks for word in ("--task", pattern)]
    typed += ["--limit", str(options.limit)] if options.limit else []
    typed += ["--allow-python"] if options.allow_python else []
    typed += ["--device", options.device, "--store", str(options.store_folder), "--baseline", "off"]
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:randomly", *target, *typed, "--report", str(file)]
    lines = []
    with subprocess.Popen(
        command, cwd=options.cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip())
            if "test_task[" in line and "%]" in line:
                tell(line.strip())
    if not file.is_file():
        last = lines[-1] if lines else "it said nothing"
        reason = next((line for line in reversed(lines) if line.startswith("ERROR")), last)
        raise ModelError(f"the run ended without a record: {reason}")
    return read_run(file)


def _row(variant: Variant, alias: str, sides: Mapping[str, Side], run: Run, options: Options) -> Row:
    """Judge a variant by the whole model, which is the first side."""
    mine = [record for record in run.records if record.alias == alias]
    settings = next((record.settings for record in mine if record.settings), None)
    precision = variant.settings.get("quantize") or _precision(settings)
    width = (settings and settings.dimension) or 0
    whole = next(iter(sides))
    scores = [record.score for record in mine if record.score is not None]
    delta, interval, verdict, reason = None, None, "", ""
    if alias not in sides:
        verdict, reason = "ERROR", next((record.error for record in mine if record.error), "it was not measured")
    elif alias != whole:
        records = compare(sides[whole], sides[alias], override=sharing(options, len(sides) - 1))
        suite = sum_up(records)
        delta, interval, verdict, reason = suite.delta, suite.interval, suite.verdict, suite.reason
    return Row(
        name=variant.name or f"{width}",
        alias=alias,
        dimensions=width,
        precision=precision,
        bytes=bytes_of(width, precision),
        index=MILLION * bytes_of(width, precision),
        search=search_seconds(width, precision) if width else 0.0,
        score=fmean(scores) if len(scores) == len(mine) else None,
        delta=delta,
        interval=interval,
        verdict=verdict,
        reason=reason,
        encoded=sum(record.encoded or 0 for record in mine),
        encode=_encode_seconds(mine),
    )


def _precision(settings: Settings | None) -> str:
    """Return the precision of a model's vectors, where its own specification quantizes them."""
    quantize = (settings and settings.quantize) or FULL_PRECISION
    name = quantize.removeprefix("mteb-").partition(",")[0]  # behind it stands what ranges are from
    return name if name in BITS else FULL_PRECISION


def _encode_seconds(records: Sequence[Record]) -> float | None:
    """Return how long the encoding of a text or the scoring of a pair took; None where nothing was computed."""
    timed = [(record.phases or {}, record.encoded) for record in records if record.encoded]
    seconds = sum(phases.get("encode", 0.0) + phases.get("rerank", 0.0) for phases, _ in timed)
    texts = sum(count or 0 for _, count in timed)
    return seconds / texts if seconds and texts else None
