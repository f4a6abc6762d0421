"""Readers of run files of TREC and their judgements, as far as a report of their comparison."""

from tests.fuzz.law import Place
from tests.fuzz.mutation import Files
from tests.fuzz.reader import Reader, ensure, ensure_finite, ensure_harmless
from touchstone.foreign import JOINERS
from touchstone.importing.trec import read_qrels
from touchstone.judging.overall import judge_models
from touchstone.report.summary import summarize
from touchstone.report.text import render_summary
from touchstone.session.compare import compare, load_trec
from touchstone.session.standings import find_standings


def _runs() -> list[Files]:
    """Make two runs of thirty queries, with ties, what is not judged, and what was not found."""

    def lines(shift: int, name: str) -> bytes:
        rows = [(q, d, ((q * 7 + d * 3 + shift * (d % 2)) % 11) / 8) for q in range(30) for d in range(6)]
        return "".join(f"q{q} Q0 d{d} {d + 1} {score} {name}\n" for q, d, score in rows).encode()

    judged = [(q, d, (q + d) % 3) for q in range(2, 32) for d in range(4)]
    trec = "".join(f"q{q} 0 d{d} {grade}\n" for q, d, grade in judged).encode()
    beir = "query-id\tcorpus-id\tscore\n" + "".join(f"q{q}\td{d}\t{grade}\n" for q, d, grade in judged)
    sides = {"a.run": lines(0, "one"), "b.run": lines(3, "two")}
    return [sides | {"qrels.txt": trec}, sides | {"qrels.txt": beir.encode()}]


def read_runs(place: Place) -> None:
    """Compare two run files, put them in order, and show it."""
    qrels = read_qrels(place.folder / "qrels.txt")
    sides = [load_trec(name, place.folder, qrels, "ndcg_at_10") for name in ("a.run", "b.run")]
    records = compare(*sides)
    for record in records:
        ensure(record.score is not None and 0 <= record.score <= 1, f"score is {record.score}")
        ensure_finite(record, "record")
    standings = find_standings(sides, 0.05)
    ensure(standings is not None and len(standings.rows) == 2, "two runs on the same judgements have no order")
    judge_models(records)
    ensure_harmless(render_summary(summarize(records), width=100, color=False), "the terminal")
    for note in (note for side in sides for note in side.notes):
        ensure_harmless(note, "a note", allowed=JOINERS)


READERS = (Reader(name="run files", seeds=_runs, read=read_runs),)
