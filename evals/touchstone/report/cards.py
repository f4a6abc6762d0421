"""The card of a model: its verdict, what it was judged against, by which rule, and what the verdict rests on."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from markupsafe import Markup

from touchstone.formatting import points, shorten, signed_points
from touchstone.judging.overall import policy_of
from touchstone.records.runs import Record, SuiteVerdict
from touchstone.report import charts
from touchstone.report.summary import SEVERITY, speed_word, verdict_word
from touchstone.report.words import (
    DATE_LENGTH,
    MARGIN_RULES,
    MEAN_RULE,
    SAMPLE_RULES,
    by_score,
    near_guessing,
    rules,
    threshold,
)
from touchstone.task_types.registry import find_type

Fact = tuple[str, str]


def facts(record: Record) -> list[Fact]:
    """Return the facts of a case as names and values: its comparison first, then how it was measured."""
    rows = (*_comparison(record), *_measurement(record))
    return [(name, value) for name, value in rows if value]


def _comparison(record: Record) -> list[Fact]:
    terms, evidence = record.terms, record.evidence
    against = "" if terms is None or terms.against is None else f", {terms.against}"
    rows = [
        ("score", "" if record.score is None else f"{points(record.score)} {record.metric}"),
        ("baseline", "" if record.baseline is None else f"{points(record.baseline)}{against}"),
        ("Δ", "" if record.delta is None else signed_points(record.delta)),
    ]
    if evidence is not None and not by_score(record):
        low, high = (signed_points(bound) for bound in evidence.interval)
        rows.append(("95 % interval", f"{low} to {high}"))
        if record.rule in SAMPLE_RULES:
            if terms is not None and (record.delta or 0.0) < 0:
                how = "below" if evidence.p < terms.case_level else "not below"
                rows.append(("p", f"{evidence.p:.2g}, {how} {threshold(terms)}"))
            rows.append(("could detect", f"a loss of {points(evidence.detectable)}"))
            rows.append(("effect size", "" if evidence.effect is None else _effect(evidence.effect)))
    if terms is not None and record.rule in MARGIN_RULES:
        rows.append(("margin", points(terms.margin)))
    if terms is not None and record.rule == "equivalent":
        rows.append(("bound", points(terms.bound)))
    if record.anchor is not None and record.anchor.word != "incomparable":
        since = f", {shorten(record.anchor.recorded, DATE_LENGTH)}" if record.anchor.recorded else ""
        rows.append(("anchor", f"{points(record.anchor.baseline)}{since}, Δ {signed_points(record.anchor.delta)}"))
    return [
        *rows,
        ("guessing scores", "" if record.chance is None else points(record.chance)),
        (find_type(record.type).sample_word, _samples(record)),
        ("settings", "" if terms is None else "; ".join(terms.differences)),
    ]


def _effect(effect: float) -> str:
    return f"{effect:+.2f} standard deviations of a sample's change".replace("-", "−")


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
    texts = "" if record.texts is None else f"{record.texts} asked"
    return [
        ("stages", ", ".join(f"{stage.alias} {points(stage.score)}" for stage in record.stages)),
        ("languages", ", ".join(record.languages)),
        ("texts", texts + (f", {record.encoded} encoded" if texts and record.encoded is not None else "")),
        ("seconds", ", ".join(f"{name} {seconds:.1f}" for name, seconds in (record.phases or {}).items())),
        ("speed", "" if record.speed is None else f"{speed_word(record.speed)} on {record.speed.machine}"),
        ("device", record.device or ""),
        ("data revision", record.dataset_revision or ""),
        ("data sha256", record.data_sha256 or ""),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The verdict on a model.

    ``against`` are the models of references, by alias; ``called`` is the option that the alias stands for, where the
    alias is not simply the last part of a path or the name given there. ``guessing`` are the tasks whose score or
    baseline is close to that of guessing, by how close; ``rests`` counts cases by the way in which they were compared.
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
    option = called(suite.model, records)
    return Card(
        suite=suite,
        counts=count_verdicts(records),
        against={
            term.against: term.model
            for term in sorted(terms, key=lambda term: term.against or "")
            if term.against and term.model
        },
        differences=sorted({difference for term in terms for difference in term.differences}),
        called=None if option is None or is_plain(option, suite.model) else option,
        forest=charts.forest(suite.delta, suite.interval, reach, suite.verdict, policy_of(records).suite_margin),
        rules=[*rules(records), _together(suite, records)] if terms else (),
        guessing=guessing,
        rests=", ".join(f"{count} {way}" for way, count in ways.items() if count),
    )


def _together(suite: SuiteVerdict, records: Sequence[Record]) -> str:
    policy, anchored = policy_of(records), suite.anchor is not None
    share = "a quarter, as its anchors are judged too," if anchored else "half"
    level = policy.mean_level(anchored=anchored)
    return MEAN_RULE.format(f"{points(policy.suite_margin)} points", level, share, policy.alpha)


def count_verdicts(records: Sequence[Record]) -> dict[str, int]:
    """Count cases by verdict, the worst first."""
    counts = Counter(verdict_word(record) for record in records)
    return {word: counts[word] for word in SEVERITY if counts[word]}


def called(alias: str, records: Sequence[Record]) -> str | None:
    """Return the option that an alias stands for in names of cases and files; None where the two are the same."""
    for record in records:
        option = re.search(r"--model ('[^']*'|\S+)", record.command or "")
        if option is not None and option[1].strip("'") != alias:
            return option[1].strip("'")
    return None


def is_plain(option: str, alias: str) -> bool:
    """Return True if an option names its alias itself: ``../models/ALIAS``, ``org/ALIAS``, ``FOLDER=ALIAS``."""
    return option.endswith(f"={alias}") or PurePath(option).name == alias
