"""What is known of a case, as names and values."""

from evals.points import points, signed_points
from evals.recording import Record
from evals.report.words import by_score, threshold

Fact = tuple[str, str]


def facts(record: Record) -> list[Fact]:
    """Return what is known of a case: its comparison first, then how it was measured."""
    found = (*_comparison(record), *_measurement(record))
    return [(name, value) for name, value in found if value]


def _comparison(record: Record) -> list[Fact]:
    terms, evidence = record.terms, record.evidence
    against = "" if terms is None else f", {terms.against}"
    found = [
        ("score", "" if record.score is None else f"{points(record.score)} {record.metric}"),
        ("baseline", "" if record.baseline is None else f"{points(record.baseline)}{against}"),
        ("Δ", "" if record.delta is None else signed_points(record.delta)),
    ]
    if evidence is not None and not by_score(record):
        low, high = (signed_points(bound) for bound in evidence.interval)
        found.append(("95 % interval", f"{low} to {high}"))
        if record.rule == "paired":
            if terms is not None and (record.delta or 0.0) < 0:
                how = "below" if evidence.p < terms.level else "not below"
                found.append(("p", f"{evidence.p:.2g}, {how} {threshold(terms)}"))
            found.append(("could detect", f"a loss of {points(evidence.detectable)}"))
    if terms is not None and record.rule in ("paired", "threshold"):
        found.append(("margin", points(terms.margin)))
    return [
        *found,
        ("guessing", "" if record.chance is None else points(record.chance)),
        ("draws" if record.type == "Clustering" else "samples", _samples(record)),
        ("settings", "" if terms is None else "; ".join(terms.differences)),
    ]


def _samples(record: Record) -> str:
    if record.n is None or record.evidence is None:
        return "" if record.n is None else str(record.n)
    changed = f"{record.n}, {record.evidence.changed} changed"
    if record.shown is None or record.shown.losers is None or record.shown.gainers is None:
        return changed
    # A wrong answer may become another wrong one.
    alike = record.evidence.changed - record.shown.losers - record.shown.gainers
    others = f", {alike} worth the same" if alike > 0 else ""
    return f"{changed}: {record.shown.losers} lost, {record.shown.gainers} gained{others}"


def _measurement(record: Record) -> list[Fact]:
    asked = "" if record.texts is None else f"{record.texts} asked"
    return [
        ("stages", " → ".join(f"{stage.alias} {points(stage.score)}" for stage in record.stages)),
        ("languages", ", ".join(record.languages)),
        ("texts", asked + (f", {record.encoded} encoded" if asked and record.encoded is not None else "")),
        ("seconds", ", ".join(f"{name} {seconds:.1f}" for name, seconds in (record.phases or {}).items())),
        ("device", record.device or ""),
        ("data revision", record.dataset_revision or ""),
        ("data sha256", record.data_sha256 or ""),
    ]
