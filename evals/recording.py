"""Flatten a case and what became of it into the record that is reported."""

from dataclasses import replace

from evals.records import Case, Outcome, Record, Verdict, baseline_key, samples_file


def make_record(case: Case, outcome: Outcome | None, verdict: Verdict | None, error: str | None) -> Record:
    """Flatten a case and what became of it, as far as it came.

    An error wins over a verdict; no outcome and no error is a case that was not measured.
    """
    record = Record(
        case=case.id,
        alias=case.alias,
        model=None,
        revision=None,
        task=case.task.name,
        type=case.task.type,
        languages=case.task.language_codes,
        outcome="error" if error else "not measured",
        metric=case.task.main_score,
        limit=case.limit,
        error=error,
    )
    if outcome is not None:
        record = _with_outcome(record, outcome)
    if verdict is not None:
        record = replace(
            record,
            outcome="error" if error else "passed" if verdict.ok else "failed",
            verdict=verdict.word,
            rule=verdict.rule,
            reason=verdict.reason,
            baseline=verdict.baseline,
            delta=verdict.delta,
        )
    return record


def _with_outcome(record: Record, outcome: Outcome) -> Record:
    return replace(
        record,
        outcome="error" if record.error else "passed",
        model=outcome.identity.name,
        revision=outcome.identity.revision,
        metric=outcome.scores.metric,
        score=outcome.scores.score,
        subsets=dict(outcome.scores.subsets),
        n=outcome.scores.n,
        chance=outcome.scores.chance,
        recomputed=outcome.scores.recomputed,
        samples=None
        if outcome.samples is None
        else f"samples/{outcome.identity.fingerprint}/{samples_file(baseline_key(record.task, record.limit))}",
        seconds=round(sum(outcome.phases.values()), 3),
        phases={name: round(seconds, 3) for name, seconds in outcome.phases.items()},
        texts=outcome.texts,
        dataset_revision=outcome.dataset_revision,
        data_sha256=outcome.data_sha256,
        fingerprint=outcome.identity.fingerprint,
        settings=outcome.settings,
        device=outcome.device,
    )
