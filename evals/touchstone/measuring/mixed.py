"""Two models where mteb expects one: queries are one's, all other texts the other's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from touchstone.encoding.checks import to_numpy
from touchstone.encoding.meter import Meter
from touchstone.encoding.texts import give_texts, read_texts
from touchstone.models.base import OpenModel
from touchstone.tasks.registry import quiet_mteb

# Texts that are compared one by one, the first of each task; a search goes through all.
MAX_TEXTS = 20_000
# Encoded together: what is in memory at once.
BLOCK = 4_096


@dataclass(slots=True)
class SeenVectors:
    """Vectors of the texts that a model encoded, keyed by role and text, up to `MAX_TEXTS`."""

    rows: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def add(self, role: str, texts: Sequence[str], vectors: Any) -> None:
        """Add the texts and vectors of one call."""
        room = max(0, MAX_TEXTS - len(self.rows))
        for text, vector in zip(texts[:room], to_numpy(vectors[:room]), strict=True):
            self.rows.setdefault((role, text), vector.copy())  # not a view that keeps all of the call in memory


class Mixed:
    """An encoder for mteb: queries are one model's, all other texts another's, which also compares them."""

    def __init__(self, queries: OpenModel, others: OpenModel, meter: Meter, seen: SeenVectors | None) -> None:
        self._others = others, others.for_mteb(meter)
        self._queries = self._others if queries is others else (queries, queries.for_mteb(meter))
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._others[1], name)

    def encode(self, inputs: Any, *, task_metadata: Any, prompt_type: Any = None, **options: Any) -> Any:
        """Encode texts with the model that they are for; shape (texts, dimensions)."""
        role = "" if prompt_type is None else prompt_type.value
        opened, encoder = self._queries if role == "query" else self._others
        arguments = {**options, "batch_size": opened.batch_size, **opened.encode_kwargs}
        vectors = encoder.encode(inputs, task_metadata=task_metadata, prompt_type=prompt_type, **arguments)
        if self._seen is not None:
            self._seen.add(role, read_texts(inputs), vectors)
        return vectors

    @property
    def seconds(self) -> float:
        """The seconds of both models."""
        return sum(float(encoder.seconds) for _, encoder in self._encoders())

    def check_spread(self) -> None:
        """Refuse a model that gives (nearly) the same vector whatever the text."""
        for _, encoder in self._encoders():
            encoder.check_spread()

    def flush(self) -> None:
        """Write new vectors to the store."""
        for _, encoder in self._encoders():
            encoder.flush()

    def _encoders(self) -> Iterator[Any]:
        yield self._others
        if self._queries is not self._others:
            yield self._queries


def encode_texts(opened: OpenModel, texts: Sequence[str], seen: SeenVectors) -> None:
    """Encode texts that are neither queries nor documents, as those of an STS task are, block by block."""
    with quiet_mteb():
        import mteb

        metadata: Any = mteb.get_task("STSBenchmark").metadata
        encoder = Mixed(opened, opened, Meter(), seen)
        for at in range(0, len(texts), BLOCK):
            encoder.encode(give_texts(texts[at : at + BLOCK]), task_metadata=metadata, show_progress_bar=False)
        encoder.flush()
