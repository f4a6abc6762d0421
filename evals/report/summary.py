"""What a run comes down to: counts, rows, and where the time went."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.recording import Record
from evals.records import OutcomeWord

ORDER: tuple[OutcomeWord, ...] = ("failed", "error", "not measured", "passed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A run in brief. ``look`` holds the records that are not a plain pass; seconds are by phase.

    ``texts`` were asked for, ``encoded`` of them not known from before; None where that is not known of every case.
    """

    counts: Mapping[OutcomeWord, int]
    by_model: Mapping[str, Sequence[Record]]
    look: Sequence[Record]
    seconds: Mapping[str, float]
    texts: int
    encoded: int | None
    devices: Sequence[str]

    @property
    def ok(self) -> bool:
        """Whether every case was measured and passed."""
        return self.counts.get("passed", 0) == sum(self.counts.values())


def summarize(records: Sequence[Record]) -> Summary:
    """Sum up records; their order does not matter."""
    ordered = sorted(records, key=lambda record: (record.alias, record.type, record.task, record.limit or 0))
    measured = [record for record in ordered if record.texts is not None]
    seconds: Counter[str] = Counter()
    for record in ordered:
        seconds.update(record.phases or {})
    return Summary(
        counts={word: count for word in ORDER if (count := sum(r.outcome == word for r in ordered))},
        by_model={alias: [r for r in ordered if r.alias == alias] for alias in {r.alias: None for r in ordered}},
        look=[r for r in ordered if r.outcome != "passed" or r.verdict in ("improved", "unresolved")],
        seconds=dict(seconds),
        texts=sum(record.texts or 0 for record in ordered),
        encoded=None if any(r.encoded is None for r in measured) else sum(r.encoded or 0 for r in measured),
        devices=sorted({record.device for record in ordered if record.device}),
    )
