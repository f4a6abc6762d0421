"""What verdicts mean, in words for a reader who has not seen the project."""

from collections.abc import Mapping, Sequence

from touchstone.formatting import points, signed_points
from touchstone.records.runs import Record
from touchstone.records.verdicts import Evidence, Terms
from touchstone.report.summary import verdict_word
from touchstone.task_types.registry import find_type

# A score that is no more than this above what guessing gets says little of a model.
NEAR_GUESSING = 0.02
MEANING: Mapping[str, str] = {
    "regressed": "worse: it lost at least the margin, and more than chance explains",
    "drifted": "the same model again did not repeat its score",
    "error": "could not be measured, or not be compared",
    "not measured": "nobody reported it: its worker died or the run was interrupted",
    "incomparable": "the two numbers measure different things",
    "missing": "there is no baseline to judge it by",
    "inconclusive": "too little evidence to say whether it lost the margin",
    "improved": "better: it gained at least the margin, and more than chance explains",
    "measured": "measured, and not judged",
    "pass": "within the margin of its baseline, or the same",
}
BY_RULE: Mapping[tuple[str, str], str] = {
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
}
DRAWS = "Judged by its score alone, as its {} draws are too few to test: it lost {} the margin."
TOGETHER = "All together fail when a case is red, or when the mean lost {} or more and more than chance explains."


def rules(records: Sequence[Record]) -> list[str]:
    """Return how the cases of one model are judged, a sentence or two for each rule that was used."""
    found = {record.rule: record.terms for record in records if record.terms is not None}
    lines = []
    if "paired" in found:
        levels = {threshold(record.terms) for record in records if record.terms and record.rule == "paired"}
        lines.append(
            f"A case regressed when it lost the margin ({margins(records)}) or more and p, the probability that chance "
            f"alone loses as much, is below {' or '.join(sorted(levels))}. It passes when its loss is within the "
            "margin with 95 % confidence; in between it is inconclusive."
        )
    if "threshold" in found:
        lines.append(
            f"A case judged by its score alone may lose the margin ({margins(records)}) and no more: a clustering, or "
            "one without samples on both sides."
        )
    if "reproduce" in found:
        lines.append("The same model again has to repeat its score, to a small tolerance; else it drifted.")
    return lines


def margins(records: Sequence[Record]) -> str:
    """Return how much cases may lose, with their types where that is not the same."""
    types: dict[float, set[str]] = {}
    for record in records:
        if record.terms is not None:
            types.setdefault(record.terms.margin, set()).add(record.type)
    if len(types) == 1:
        return _counted(next(iter(types)))
    return ", ".join(f"{_counted(margin)} for {' and '.join(sorted(names))}" for margin, names in sorted(types.items()))


def threshold(terms: Terms) -> str:
    """Return what p has to be below, and where that is from."""
    if terms.gated == 1:
        return f"{terms.alpha:g}"
    return f"{terms.level:.2g} ({terms.alpha:g} shared among {terms.gated} cases)"


def _counted(fraction: float) -> str:
    return f"{points(fraction)} point{'' if fraction == 0.01 else 's'}"


def by_score(record: Record) -> bool:
    """Return True if only the scores were compared, whatever is known of samples."""
    return record.rule == "threshold"


def explain(record: Record) -> list[str]:
    """Return sentences that say what the verdict rests on; fewer where less is known."""
    word, found = verdict_word(record), record.evidence
    if by_score(record) and not find_type(record.type).paired:
        return [DRAWS.format(record.n, "more than" if word == "regressed" else "no more than")]
    lines = [BY_RULE.get((word, record.rule or ""), sentence(MEANING[word]))]
    if found is None or by_score(record):
        return lines
    low, high = (signed_points(bound) for bound in found.interval)
    lines.append(
        f"{found.changed} of {found.n} samples changed; the true change lies between {low} and {high} points, with "
        "95 % confidence."
    )
    if word == "inconclusive" and record.rule != "reproduce":
        lines += [*_inconclusive(record, found), _next_step(record)]
    return lines


def _inconclusive(record: Record, found: Evidence) -> list[str]:
    terms, delta = record.terms, record.delta or 0.0
    if terms is not None and delta <= -terms.margin and terms.level <= found.p < terms.alpha:
        opening = (
            f"Alone it would count as a loss; among {terms.gated} cases chance could explain it: p = {found.p:.2g} is "
            f"not below {threshold(terms)}."
        )
    elif found.interval[1] < 0:
        opening = "It lost something; whether as much as the margin can be neither shown nor ruled out."
    else:
        opening = "So a loss of the margin can be neither shown nor ruled out."
    return [
        opening,
        f"With samples like these only a loss of {points(found.detectable)} points or more would be found, four times "
        "in five.",
    ]


def _next_step(record: Record) -> str:
    """Return what can be done; where the experiments of a classifier differ too much, more samples would not help."""
    data = "a second" if "more samples would not settle" in (record.reason or "") else "a larger or a second"
    return (
        f"What to do: add {data} data set of this kind, allow {record.type} a wider margin (margins under [gate] in "
        "the suite), or accept it as inconclusive."
    )


def near_guessing(record: Record) -> str | None:
    """Return how a score or its baseline stands to what guessing gets, where that is close."""
    known = [score for score in (record.score, record.baseline) if score is not None]
    if record.chance is None or record.rule == "chance" or not known:
        return None
    if min(known) < record.chance:
        return "below what guessing gets"
    return "close to what guessing gets" if min(known) <= record.chance + NEAR_GUESSING else None


def clauses(record: Record) -> str:
    """Return of a reason what the facts of the case do not say already."""
    first, *others = (record.reason or "").split("; ")
    said = record.terms.differences if record.terms is not None else ()
    kept = [clause for clause in others if clause not in said and not clause.startswith("worst: ")]
    if record.rule not in ("paired", "threshold"):
        kept.insert(0, first)
    elif not find_type(record.type).paired:
        kept = [clause for clause in kept if not clause.endswith("draws tell little")]
    return sentence("; ".join(kept))


def sentence(text: str) -> str:
    """Return text with a large first letter and a full stop."""
    if not text:
        return ""
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
