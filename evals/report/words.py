"""What verdicts mean, in words for a reader who has not seen the project."""

from collections.abc import Mapping

from evals.points import points, signed_points
from evals.recording import Record
from evals.report.summary import verdict_word

MEANING: Mapping[str, str] = {
    "regressed": "worse: it lost at least the margin, and more than chance explains",
    "drifted": "the same model again did not repeat its score",
    "error": "could not be measured, or not be compared",
    "not measured": "nobody reported it: its worker died or the run was interrupted",
    "incomparable": "the two numbers measure different things",
    "missing": "there is no baseline to judge it by",
    "unresolved": "too little evidence to say whether it lost the margin",
    "improved": "better: it gained at least the margin, and more than chance explains",
    "measured": "measured, and not judged",
    "pass": "within the margin of its baseline, or the same",
}
BY_RULE: Mapping[tuple[str, str], str] = {
    ("regressed", "floor"): "The score is below the floor that the suite sets, whatever the baseline says.",
    ("regressed", "chance"): "The score is what guessing gets: pooling, prompts or weights are likelier to be wrong "
    "than the model to be worse.",
    (
        "regressed",
        "threshold",
    ): "Only the scores were compared, for want of samples on both sides: it lost more than the margin.",
    ("regressed", "paired"): "It lost at least the margin, and more than chance explains.",
    ("improved", "paired"): "It gained at least the margin, and more than chance explains.",
    ("drifted", "reproduce"): "The same model should repeat its score, and did not: other data, another library or "
    "another device are the first things to look at.",
}


def explain(record: Record) -> list[str]:
    """Return sentences that say what the verdict rests on; fewer where less is known."""
    word, found = verdict_word(record), record.evidence
    lines = [BY_RULE.get((word, record.rule or ""), f"{MEANING[word][0].upper()}{MEANING[word][1:]}.")]
    if found is None:
        return lines
    low, high = (signed_points(bound) for bound in found.interval)
    lines.append(
        f"{found.changed} of {found.n} samples changed; the true change lies between {low} and {high} points, with "
        "95 % confidence."
    )
    if word == "unresolved":
        lines.append(
            "So a loss of the margin can be neither shown nor ruled out. With samples like these only a loss of "
            f"{points(found.detectable)} points or more would be found, four times in five."
        )
    return lines


def facts(record: Record) -> list[str]:
    """Return what is known of how a case was measured, a few words each."""
    texts = None
    if record.texts is not None:
        texts = f"{record.texts} texts asked" + ("" if record.encoded is None else f", {record.encoded} encoded")
    seconds = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in (record.phases or {}).items())
    stages = " → ".join(f"{stage.alias} {points(stage.score)}" for stage in record.stages)
    found = (
        None if record.baseline is None else f"baseline {points(record.baseline)}",
        stages,
        None if record.chance is None else f"guessing gets {points(record.chance)}",
        None if record.n is None else f"{record.n} samples",
        ", ".join(record.languages),
        texts,
        seconds,
        record.device,
        None if record.dataset_revision is None else f"data {record.dataset_revision[:12]}",
        None if record.data_sha256 is None else f"data sha256 {record.data_sha256[:12]}",
    )
    return [one for one in found if one]
