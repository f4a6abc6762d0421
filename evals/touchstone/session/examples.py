"""Make examples of the samples that changed most: values, texts, and what was predicted before and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from touchstone.errors import first_line
from touchstone.records.examples import Document, Example, Shown
from touchstone.records.samples import Samples
from touchstone.session.changes import Changes, find_changes
from touchstone.task_types.base import Predicted
from touchstone.task_types.registry import find_type
from touchstone.task_types.retrieval import read_documents, read_relevant

SHOWN_RANK = 5
UNRANKED_COUNT = 2
TEXTS_NOT_READ = "the texts were not read again, as the case was measured before; --overwrite shows them"
DRAWS_NOTE = "each is a draw of many texts that are clustered together: it has no text of its own"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stratum:
    """Texts, labels and documents of the samples to show, read once while the data is loaded."""

    of: Predicted
    texts: Mapping[str, Mapping[str, str]]
    labels: Mapping[str, str]
    relevant: Mapping[str, frozenset[str]]
    documents: Mapping[str, str]


def show(
    candidate: Samples, reference: Samples, predicted: Mapping[str, Predicted] | None, closed: str = TEXTS_NOT_READ
) -> Shown | None:
    """Make examples; None where nothing changed or samples have no values of their own.

    A data set whose texts cannot be found gives examples without texts, and a note: its score is measured all the same.

    Args:
        candidate: what was measured.
        reference: what it is compared with.
        predicted: of the candidate, by stratum, while its data is loaded; None where it is not.
        closed: the note where its data is not loaded.
    """
    changes = find_changes(candidate, reference)
    if changes is None or not changes.lost + changes.gained:
        return None
    note = DRAWS_NOTE if find_type(candidate.type).sample_word == "draws" else closed if predicted is None else None
    strata: dict[str, _Stratum] = {}
    changed = [] if note is not None else candidate.stratum[list(changes.lost + changes.gained)].tolist()
    try:
        for name in sorted(set(changed)):
            strata[str(name)] = _read_stratum(str(name), (predicted or {})[str(name)], candidate, changes)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        note = f"the texts could not be read: {first_line(error)}"
    lost, gained = (
        tuple(_example(candidate, changes, row, strata.get(str(candidate.stratum[row]))) for row in rows)
        for rows in (changes.lost, changes.gained)
    )
    return Shown(
        measure=changes.measure,
        lost=lost,
        gained=gained,
        note=note,
        losers=changes.losers,
        gainers=changes.gainers,
        lost_alike=changes.lost_alike,
        gained_alike=changes.gained_alike,
    )


def _read_stratum(name: str, of: Predicted, candidate: Samples, changes: Changes) -> _Stratum:
    rows = [row for row in changes.lost + changes.gained if candidate.stratum[row] == name]
    ids = [str(candidate.id[row]) for row in rows]
    relevant: dict[str, frozenset[str]] = {}
    documents: dict[str, str] = {}
    if candidate.top is not None:
        relevant = {id_: read_relevant(of, id_) for id_ in ids}
        rankings = [_rankings(candidate, changes, row) for row in rows]
        shown_ids = [_choose(*places, relevant[id_]) for places, id_ in zip(rankings, ids, strict=True)]
        documents = read_documents(of, set().union(*shown_ids), set().union(*relevant.values()))
    kind = find_type(candidate.type)
    texts = kind.texts(of, set(ids))
    return _Stratum(of=of, texts=texts, labels=kind.label_names(of), relevant=relevant, documents=documents)


def _example(candidate: Samples, changes: Changes, row: int, stratum: _Stratum | None) -> Example:
    id_ = str(candidate.id[row])
    example = Example(
        id=id_,
        stratum=str(candidate.stratum[row]),
        before=float(changes.before[row]),
        after=float(changes.after[row]),
        texts={},
    )
    if stratum is None:
        return example
    example = replace(example, texts=stratum.texts.get(id_, {}))
    if candidate.top is not None:
        return replace(example, documents=_documents(*_rankings(candidate, changes, row), stratum, id_))
    was, now, gold = changes.reference.prediction, candidate.prediction, candidate.gold
    if was is None or now is None or gold is None:
        return example
    tell = find_type(candidate.type).tell
    if tell is None:
        return example
    told = tell(stratum.of, np.atleast_1d(gold[row]), was[row], now[row], names=stratum.labels)
    return replace(example, expected=told[0], was=told[1], now=told[2])


def _rankings(candidate: Samples, changes: Changes, row: int) -> tuple[dict[str, int], dict[str, int]]:
    """Return the places of documents before and after."""
    before, after = (_places(samples.top, row) for samples in (changes.reference, candidate))
    return before, after


def _places(top: Sequence[Sequence[str]] | None, row: int) -> dict[str, int]:
    return {} if top is None else {document: place for place, document in enumerate(top[row], start=1)}


def _choose(before: Mapping[str, int], after: Mapping[str, int], relevant: frozenset[str]) -> set[str]:
    """Choose the first documents before and after, and the relevant ones: at any place, and a few that are at none."""
    chosen = {d for places in (before, after) for d, place in places.items() if place <= SHOWN_RANK or d in relevant}
    return chosen | set(sorted(relevant - chosen)[:UNRANKED_COUNT])


def _documents(
    before: Mapping[str, int], after: Mapping[str, int], stratum: _Stratum, query: str
) -> tuple[Document, ...]:
    relevant = stratum.relevant.get(query, frozenset())
    documents = [
        Document(
            id=d, text=stratum.documents.get(d, ""), relevant=d in relevant, before=before.get(d), after=after.get(d)
        )
        for d in sorted(_choose(before, after, relevant))
    ]
    return tuple(sorted(documents, key=lambda document: (document.after or 99, document.before or 99)))
