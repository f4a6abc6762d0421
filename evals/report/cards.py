"""The card of a model: its verdict, what it was judged against, by which rule, and what the verdict rests on."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from evals.overall import SUITE_MARGIN
from evals.points import points
from evals.recording import Record, SuiteVerdict
from evals.report import charts
from evals.report.summary import SEVERITY, verdict_word
from evals.report.words import TOGETHER, near_guessing, rules


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The verdict on a model. ``against`` are names of references by alias; ``called`` is what the alias stands for.

    ``guessing`` are the cases that say little, by how they stand to what guessing gets; ``rests`` counts cases by how
    they were compared.
    """

    suite: SuiteVerdict
    counts: Mapping[str, int]
    against: Mapping[str, str]
    differences: Sequence[str]
    called: str | None
    forest: Markup | None
    rules: Sequence[str]
    guessing: Mapping[str, Sequence[str]]
    rests: str


def make_card(suite: SuiteVerdict, records: Sequence[Record], reach: float) -> Card:
    """Make the card of a verdict from the records of its model."""
    terms = [record.terms for record in records if record.terms is not None]
    guessing: dict[str, list[str]] = {}
    for record in records:
        how = near_guessing(record)
        if how is not None:
            guessing.setdefault(how, []).append(record.task)
    ways = {
        "compared sample by sample": sum(r.rule == "paired" for r in records),
        "repeated the same measurement": sum(r.rule == "reproduce" for r in records),
        "compared by score alone": sum(r.rule == "threshold" for r in records),
        "at their floor or at chance": sum(r.rule in ("floor", "chance") for r in records),
        "not compared": sum(r.rule is None for r in records),
    }
    return Card(
        suite=suite,
        counts=count_verdicts(records),
        against={one.against: one.model for one in sorted(terms, key=lambda one: one.against)},
        differences=sorted({difference for one in terms for difference in one.differences}),
        called=called(suite.model, records),
        forest=charts.forest(suite.delta, suite.interval, reach, suite.verdict, SUITE_MARGIN),
        rules=[*rules(records), TOGETHER.format(f"{points(SUITE_MARGIN)} points")] if terms else (),
        guessing=guessing,
        rests=", ".join(f"{count} {way}" for way, count in ways.items() if count),
    )


def count_verdicts(records: Sequence[Record]) -> dict[str, int]:
    """Count what became of cases, what is worst first."""
    counts = Counter(verdict_word(record) for record in records)
    return {word: counts[word] for word in SEVERITY if counts[word]}


def called(alias: str, records: Sequence[Record]) -> str | None:
    """Return the option that an alias stands for in names of cases and files, where it is another text."""
    for record in records:
        option = re.search(r"--model ('[^']*'|\S+)", record.command or "")
        if option is not None and option[1].strip("'") != alias:
            return option[1].strip("'")
    return None
