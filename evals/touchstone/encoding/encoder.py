"""The encoder that mteb is given: it decides the prompt of every call, checks and counts every vector that passes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from touchstone.encoding.base import Comparing, TextEncoder
from touchstone.encoding.checks import Spread, check_vectors
from touchstone.encoding.meter import Meter
from touchstone.encoding.prompts import Prompting, Role, Text
from touchstone.encoding.texts import read_texts
from touchstone.seams import find

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import ModelMeta
    from mteb.types import Array, BatchedInput, PromptType
    from torch.utils.data import DataLoader

# How many texts of a measurement are kept, to be encoded again one by one.
SAMPLE_SIZE = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Some distinct texts of a measurement as the model got them, prompt included, all of one role."""

    texts: tuple[str, ...] = ()
    role: Role | None = None


def take_sample(texts: Sequence[str], role: Role | None, prompt: str = "") -> Sample:
    """Take a sample of texts from all over them."""
    candidates = texts[:: max(1, len(texts) // SAMPLE_SIZE)]
    distinct = list(dict.fromkeys(prompt + text for text in candidates))[:SAMPLE_SIZE]
    return Sample(texts=tuple(distinct), role=role)


class MtebEncoder:
    """A model as mteb calls it, for one measurement.

    mteb's own wrapper drops prompts whose name it does not know, and sentence-transformers puts in others where
    none is given; here every call says its prompt, also when that is none.

    Args:
        encoder: what encodes.
        compared_by: mteb's metadata of the same model, and its similarity.
        prompting: the rules for prompts.
        meter: gets the progress of each call, and its counts.
    """

    def __init__(self, encoder: TextEncoder, compared_by: Comparing, prompting: Prompting, meter: Meter) -> None:
        self.mteb_model_meta: ModelMeta | None = compared_by.mteb_model_meta
        self._encoder = encoder
        self._compared_by = compared_by
        self._prompting = prompting
        self._meter = meter
        self._prompts: dict[str, set[str | None]] = {}
        self._spread = Spread()
        self.texts = 0
        self.seconds = 0.0
        self.sample = Sample()

    def encode(
        self,
        inputs: "DataLoader[BatchedInput]",
        *,
        task_metadata: "TaskMetadata",
        prompt_type: "PromptType | None" = None,
        **options: Any,
    ) -> "Array":
        """Encode texts; shape (texts, dimensions).

        Raises:
            ModelError: a vector is NaN or infinite, or there is not one for each text.
        """
        started = time.perf_counter()
        vectors, prompt = self.compute(inputs, task_metadata, prompt_type, options)
        self.seconds += time.perf_counter() - started
        kind = task_metadata.type if prompt_type is None else prompt_type.value
        self._prompts.setdefault(kind, set()).add(prompt)
        dataset: Any = inputs.dataset
        check_vectors(vectors, len(dataset))
        self._spread.add(vectors, dataset)
        self.texts += len(dataset)
        return vectors

    def compute(
        self,
        inputs: "DataLoader[BatchedInput]",
        task_metadata: "TaskMetadata",
        prompt_type: "PromptType | None",
        options: dict[str, Any],
    ) -> tuple["Array", str | None]:
        """Return the vectors of one call and its prompt, None where the prompt is not known."""
        prompt = self._prompting.find(task_text(task_metadata, prompt_type)).text
        # mteb says where the texts are from, which no vector depends on.
        passed = {name: value for name, value in options.items() if name not in ("hf_split", "hf_subset")}
        texts, role = read_texts(inputs), role_of(prompt_type)
        vectors: Any = self._encoder.encode(texts, role=role, prompt=prompt, meter=self._meter, **passed)
        self._keep_sample(texts, role, prompt or "")
        plain: Array = vectors.detach().float().cpu() if hasattr(vectors, "detach") else vectors
        return plain, prompt

    def _keep_sample(self, texts: Sequence[str], role: Role | None, prompt: str) -> None:
        """Keep a sample of the first call that has texts, better one of queries."""
        if self.sample.role == "query" or (self.sample.texts and role != "query"):
            return
        self.sample = take_sample(texts, role, prompt)

    def similarity(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Return the model's own similarity of all to all."""
        return self._compared_by.similarity(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Return the model's own similarity, pair by pair."""
        return self._compared_by.similarity_pairwise(embeddings1, embeddings2)

    @property
    def prompts(self) -> dict[str, tuple[str, ...]] | None:
        """Prompts that texts really got, ``""`` for none; None where they are not known.

        The keys are the roles of texts, ``query`` and ``document``, or the task type of texts without a role.
        """
        if any(None in used for used in self._prompts.values()):
            return None
        return {kind: tuple(sorted(map(str, used))) for kind, used in sorted(self._prompts.items())}

    @property
    def encoded(self) -> int | None:
        """Number of texts that were encoded, not read from a store; None where it is not known."""
        return self._meter.computed

    def check_spread(self) -> None:
        """Refuse a model that gives (nearly) the same vector whatever the text.

        Raises:
            ModelError: the mean cosine of random pairs of distinct texts is above 0.99.
        """
        self._spread.check()

    def flush(self) -> None:
        """Write new vectors to the store."""
        self._encoder.flush()


def task_text(task_metadata: "TaskMetadata", prompt_type: "PromptType | None") -> Text:
    """Describe the texts of one call of mteb's, for the choice of their prompt.

    The instruction is the task's own for the role, or where it has none its type's, as in
    `mteb.models.abs_encoder.AbsEncoder.get_instruction`.
    """
    role = role_of(prompt_type)
    prompt: Any = task_metadata.prompt or find("mteb.abstasks.abstask:get_abstask_prompt")(task_metadata.name)
    # A task may have an instruction for its queries only; a text without a role is what the task is about.
    instruction = prompt.get(role or "query", "") if isinstance(prompt, dict) else prompt
    return Text(task=task_metadata.name, type=task_metadata.type, role=role, instruction=instruction)


def role_of(prompt_type: "PromptType | None") -> Role | None:
    """Return the role of a call's texts, None where they have none."""
    return None if prompt_type is None else prompt_type.value
