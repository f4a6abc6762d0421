"""What verdicts mean, in words for a reader who has not seen the project."""

import math
import re
from collections.abc import Mapping, Sequence

from touchstone.formatting import points, shorten, signed_points
from touchstone.records.runs import Record
from touchstone.records.verdicts import Evidence, Rule, Terms
from touchstone.report.summary import SUSPECT_NOTE, verdict_word
from touchstone.task_types.registry import find_type

# Characters of a date, which somebody may have replaced by another text.
DATE_LENGTH = 32
# A score above that of guessing by no more than this tells little of a model.
NEAR_GUESSING = 0.02
MEANING: Mapping[str, str] = {
    "regressed": "worse: it lost at least the margin, and more than chance explains",
    "drifted": "the same model again did not repeat its score",
    "error": "could not be measured, or not be compared",
    "not measured": "nobody reported it: its worker died or the run was interrupted",
    "incomparable": "the two numbers measure different things",
    "missing": "there is no baseline to judge it by",
    "suspect": "it lost the margin or more, or its error is not known, and too little is known to call it worse",
    "inconclusive": "too little evidence to say whether it lost the margin",
    "improved": "better: it gained at least the margin, and more than chance explains",
    "measured": "measured, and not judged",
    "recorded": "measured, and recorded as its own baseline",
    "lower": "a lower score than the other model's, and not judged",
    "same": "the same score as the other model's",
    "higher": "a higher score than the other model's, and not judged",
    "pass": "within the margin of its baseline, or the same",
}
RULE_SENTENCES: Mapping[tuple[str, str], str] = {
    ("regressed", "floor"): "The score is below the floor that the suite sets, whatever the baseline says.",
    ("regressed", "chance"): "The score is what guessing gets: pooling, prompts or weights are likelier to be wrong "
    "than the model to be worse.",
    ("regressed", "threshold"): "Only the scores were compared, for want of samples on both sides: it lost more than "
    "the margin.",
    ("regressed", "paired"): "It lost at least the margin, and more than chance explains.",
    ("improved", "paired"): "It gained at least the margin, and more than chance explains.",
    ("drifted", "reproduce"): "The same model should repeat its score, and did not: other data, another library or "
    "another device are the first things to look at.",
    ("inconclusive", "reproduce"): "The same model did not repeat its score, but other versions of the libraries may "
    "be why: record the baseline again with these, or measure with those.",
    ("regressed", "equivalent"): "It differs by the bound or more, and by more than chance explains.",
    ("drifted", "equivalent"): "It gained the bound or more, so it is not the same: look at what else has changed.",
    ("pass", "equivalent"): "It is proven the same within the bound.",
    ("regressed", "draws"): "It lost at least the margin, and more than the scatter of its draws explains.",
    ("improved", "draws"): "It gained at least the margin, and more than the scatter of its draws explains.",
}
# What makes a case suspect.
SUSPECT_LOSS = "It lost the margin or more, and too little is known to call it worse."
SUSPECT_UNKNOWN = "Its error is not known, so nothing rules out a loss of the margin."
# The one-sided level of a 95 % interval.
INTERVAL_LEVEL = 0.025
# Rules by which the margin counts, and those that need samples of both sides.
MARGIN_RULES, SAMPLE_RULES = ("paired", "threshold", "draws"), ("paired", "draws", "equivalent")
RULE_TEXTS: Mapping[Rule, str] = {
    "paired": "A case regressed when it lost the margin ({margins}) or more and p, the probability that chance alone "
    "loses as much, is below {levels}. It passes when its loss is within the margin with {sure} confidence, though one "
    "sample more lost everything; in between it is inconclusive.",
    "equivalent": "A case is the same when it is proven to differ by less than {bound}.",
    "draws": "A clustering may lose the margin ({margins}); beyond it regressed if its draws, of which both sides have "
    "the same seeds, do not explain the loss.",
    "threshold": "A case judged by its score alone may lose the margin ({margins}) and no more: one without samples on "
    "both sides.",
    "reproduce": "The same model again has to repeat its score, to a small tolerance; else it drifted.",
}
MEAN_RULE = (
    "All together fail when a case is red, or when the mean over them lost {} or more and its p is below {:.2g}: "
    "{} of α, the rate of false alarms ({:g}); the cases share as much."
)
# The clause on a pass that is no sentence by itself, and what the page says for it.
HIDDEN, HIDDEN_WORDS = re.compile(r"^could hide "), "a pass with these samples could hide "
# The clause of the gate's reason where the anchor decided, and the sentence for it.
ANCHOR_CLAUSE, ANCHOR_DECIDED = (
    "; against its anchor",
    "It lost too much against its anchor, whatever the comparison with its baseline says.",
)
ANCHOR_SENTENCE = (
    "Its anchor{} had {} (Δ {}). The anchor bounds what all releases since may lose together, and only touchstone "
    "baselines anchor --move moves it."
)


def rules(records: Sequence[Record]) -> list[str]:
    """Return how the cases of one model are judged, a sentence or two for each rule that was used."""
    terms_of = {record.rule: record.terms for record in records if record.terms is not None}
    levels = {threshold(record.terms) for record in records if record.terms and record.rule == "paired"}
    sure = {f"{100 * terms.confidence:g} %" for terms in terms_of.values()}
    names = {"margins": margins(records), "levels": " or ".join(sorted(levels)), "sure": " or ".join(sorted(sure))}
    bound = points(terms_of["equivalent"].bound) if "equivalent" in terms_of else ""
    return [text.format(**names, bound=bound) for rule, text in RULE_TEXTS.items() if rule in terms_of]


def margins(records: Sequence[Record]) -> str:
    """Return the margins of cases, with their task types where the margins differ."""
    types: dict[float, set[str]] = {}
    for record in records:
        if record.terms is not None:
            types.setdefault(record.terms.margin, set()).add(record.type)
    if len(types) == 1:
        return _counted(next(iter(types)))
    return ", ".join(f"{_counted(margin)} for {' and '.join(sorted(names))}" for margin, names in sorted(types.items()))


def threshold(terms: Terms) -> str:
    """Return the level that p has to be below, and where the level comes from."""
    if terms.gated == 1:
        return f"{terms.case_level:.2g}"
    return f"{terms.case_level:.2g} ({terms.case_level * terms.gated:g} shared among {terms.gated} cases)"


def _counted(fraction: float) -> str:
    return f"{points(fraction)} point{'' if fraction == 0.01 else 's'}"


def by_score(record: Record) -> bool:
    """Return True if only the scores were compared, with or without samples."""
    return record.rule == "threshold"


def explain(record: Record) -> list[str]:
    """Return sentences that explain a verdict; fewer where less is known."""
    word, evidence = verdict_word(record), record.evidence
    by_anchor = word == "regressed" and ANCHOR_CLAUSE in (record.reason or "")
    meaning = RULE_SENTENCES.get((word, record.rule or ""), sentence(MEANING[word]))
    if record.suspect:
        meaning = SUSPECT_LOSS if evidence is not None and math.isfinite(evidence.error) else SUSPECT_UNKNOWN
    lines = [ANCHOR_DECIDED if by_anchor else meaning]
    if evidence is not None and not by_score(record):
        low, high = (signed_points(bound) for bound in evidence.interval)
        lines.append(
            f"{evidence.changed} of {counted(record, evidence)} changed; the true change lies between {low} and {high} "
            "points, with 95 % confidence."
        )
        if record.verdict == "inconclusive" and record.rule != "reproduce":
            lines += [*_inconclusive(record, evidence), _next_step(record)]
    elif record.suspect:
        lines.append(_next_step(record))
    if record.suspect:
        lines.append(SUSPECT_NOTE)
    if record.anchor is not None and record.anchor.word == "incomparable":
        lines.append("It cannot be compared with its anchor.")
    elif record.anchor is not None:
        since = f" of {shorten(record.anchor.recorded, DATE_LENGTH)}" if record.anchor.recorded else ""
        lines.append(ANCHOR_SENTENCE.format(since, points(record.anchor.baseline), signed_points(record.anchor.delta)))
    return lines


def counted(record: Record, evidence: Evidence) -> str:
    """Return the number of samples, and that of independent units where it differs: ``1185 samples, 240 units``."""
    samples = f"{evidence.n} {find_type(record.type).sample_word}"
    return samples if evidence.units in (None, evidence.n) else f"{samples}, {evidence.units} units,"


def _inconclusive(record: Record, evidence: Evidence) -> list[str]:
    terms, delta = record.terms, record.delta or 0.0
    if terms is not None and delta <= -terms.margin and terms.case_level <= evidence.p < terms.case_level * terms.gated:
        opening = (
            f"Alone it would count as a loss; among {terms.gated} cases chance could explain it: "
            f"p = {evidence.p:.2g} is not below {threshold(terms)}."
        )
    elif evidence.interval[1] < 0:
        opening = "It lost something; whether as much as the margin can be neither shown nor ruled out."
        if evidence.p >= INTERVAL_LEVEL:
            opening += (
                f" (p = {evidence.p:.2g}, though the interval leaves out 0: p also allows for one sample more that "
                "gains everything, and for few units.)"
            )
    else:
        opening = "So a loss of the margin can be neither shown nor ruled out."
    return [
        opening,
        f"With samples like these only a loss of {points(evidence.detectable)} points or more would be found, "
        "four times in five.",
    ]


def _next_step(record: Record) -> str:
    """Return the advice; where the experiments of a classifier differ too much, more samples would not help."""
    data = "a second" if "more samples would not settle" in (record.reason or "") else "a larger or a second"
    return (
        "What to do: look at the samples that lost most before you release it. To be surer, add "
        f"{data} data set of this kind; or allow {record.type} a wider margin (margins under [gate] in the suite), or "
        "accept it as inconclusive."
    )


def near_guessing(record: Record) -> str | None:
    """Return how a score or its baseline stands to the score of guessing; None where neither is close."""
    scores = [score for score in (record.score, record.baseline) if score is not None]
    if record.chance is None or record.rule == "chance" or not scores:
        return None
    if min(scores) < record.chance:
        return "below what guessing gets"
    return "close to what guessing gets" if min(scores) <= record.chance + NEAR_GUESSING else None


def clauses(record: Record) -> str:
    """Return the clauses of a reason that the facts of the case do not repeat."""
    first, *others = (record.reason or "").split("; ")
    differences = record.terms.differences if record.terms is not None else ()
    parts = [
        HIDDEN.sub(HIDDEN_WORDS, clause)
        for clause in others
        if clause not in differences and not clause.startswith("worst: ")
    ]
    if record.rule not in ("paired", "threshold", "draws", "equivalent"):
        parts.insert(0, first)
    return sentence("; ".join(parts))


def sentence(text: str) -> str:
    """Return text with a capital letter and a full stop."""
    if not text:
        return ""
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
