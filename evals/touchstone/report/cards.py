"""The card of a model: its verdict, what it was judged against, by which rule, and what the verdict rests on."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from touchstone.formatting import points, shorten, signed_points
from touchstone.judging.overall import policy_of
from touchstone.records.runs import Record, SuiteVerdict
from touchstone.report import charts
from touchstone.report.summary import SEVERITY, speed_word, verdict_word
from touchstone.report.words import BY_MARGIN, BY_SAMPLES, DATE, TOGETHER, by_score, near_guessing, rules, threshold
from touchstone.task_types.registry import find_type

Fact = tuple[str, str]


def facts(record: Record) -> list[Fact]:
    """Return what is known of a case: its comparison first, then how it was measured."""
    found = (*_comparison(record), *_measurement(record))
    return [(name, value) for name, value in found if value]


def _comparison(record: Record) -> list[Fact]:
    terms, evidence = record.terms, record.evidence
    against = "" if terms is None or terms.against is None else f", {terms.against}"
    found = [
        ("score", "" if record.score is None else f"{points(record.score)} {record.metric}"),
        ("baseline", "" if record.baseline is None else f"{points(record.baseline)}{against}"),
        ("Δ", "" if record.delta is None else signed_points(record.delta)),
    ]
    if evidence is not None and not by_score(record):
        low, high = (signed_points(bound) for bound in evidence.interval)
        found.append(("95 % interval", f"{low} to {high}"))
        if record.rule in BY_SAMPLES:
            if terms is not None and (record.delta or 0.0) < 0:
                how = "below" if evidence.p < terms.case_level else "not below"
                found.append(("p", f"{evidence.p:.2g}, {how} {threshold(terms)}"))
            found.append(("could detect", f"a loss of {points(evidence.detectable)}"))
            found.append(
                ("effect size", "" if evidence.effect is None else f"{evidence.effect:+.2f}".replace("-", "−"))
            )
    if terms is not None and record.rule in BY_MARGIN:
        found.append(("margin", points(terms.margin)))
    if terms is not None and record.rule == "equivalent":
        found.append(("bound", points(terms.bound)))
    if record.anchor is not None and record.anchor.word != "incomparable":
        since = f", {shorten(record.anchor.recorded, DATE)}" if record.anchor.recorded else ""
        found.append(("anchor", f"{points(record.anchor.baseline)}{since}, Δ {signed_points(record.anchor.delta)}"))
    return [
        *found,
        ("guessing", "" if record.chance is None else points(record.chance)),
        (find_type(record.type).sample_word, _samples(record)),
        ("settings", "" if terms is None else "; ".join(terms.differences)),
    ]


def _samples(record: Record) -> str:
    if record.n is None or record.evidence is None:
        return "" if record.n is None else str(record.n)
    units = record.evidence.units
    shared = "" if units in (None, record.evidence.n) else f", {units} units"
    changed = f"{record.n}{shared}, {record.evidence.changed} changed"
    if record.shown is None or record.shown.losers is None or record.shown.gainers is None:
        return changed
    # A wrong answer may become another wrong one.
    alike = record.evidence.changed - record.shown.losers - record.shown.gainers
    others = f", {alike} worth the same" if alike > 0 else ""
    return f"{changed}: {record.shown.losers} lost, {record.shown.gainers} gained{others}"


def _measurement(record: Record) -> list[Fact]:
    asked = "" if record.texts is None else f"{record.texts} asked"
    return [
        ("stages", ", ".join(f"{stage.alias} {points(stage.score)}" for stage in record.stages)),
        ("languages", ", ".join(record.languages)),
        ("texts", asked + (f", {record.encoded} encoded" if asked and record.encoded is not None else "")),
        ("seconds", ", ".join(f"{name} {seconds:.1f}" for name, seconds in (record.phases or {}).items())),
        ("speed", "" if record.speed is None else f"{speed_word(record.speed)} on {record.speed.machine}"),
        ("device", record.device or ""),
        ("data revision", record.dataset_revision or ""),
        ("data sha256", record.data_sha256 or ""),
    ]


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
        "compared sample by sample": sum(r.rule in ("paired", "equivalent") for r in records),
        "compared draw by draw": sum(r.rule == "draws" for r in records),
        "repeated the same measurement": sum(r.rule == "reproduce" for r in records),
        "compared by score alone": sum(r.rule == "threshold" for r in records),
        "at their floor or at chance": sum(r.rule in ("floor", "chance") for r in records),
        "not compared": sum(r.rule is None for r in records),
    }
    return Card(
        suite=suite,
        counts=count_verdicts(records),
        against={
            one.against: one.model
            for one in sorted(terms, key=lambda one: one.against or "")
            if one.against and one.model
        },
        differences=sorted({difference for one in terms for difference in one.differences}),
        called=called(suite.model, records),
        forest=charts.forest(suite.delta, suite.interval, reach, suite.verdict, policy_of(records).suite_margin),
        rules=[*rules(records), _together(suite, records)] if terms else (),
        guessing=guessing,
        rests=", ".join(f"{count} {way}" for way, count in ways.items() if count),
    )


def _together(suite: SuiteVerdict, records: Sequence[Record]) -> str:
    policy = policy_of(records)
    level = policy.mean_level(anchored=suite.anchor is not None)
    return TOGETHER.format(f"{points(policy.suite_margin)} points", level)


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
