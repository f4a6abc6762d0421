"""An encoder for mteb that decides the prompt of every call by our own rules, and tells which it was."""

from typing import TYPE_CHECKING, Any

from touchstone.encoding.base import Comparing, TextEncoder
from touchstone.encoding.prompts import Prompt, Prompting, Role, Text
from touchstone.encoding.texts import read_texts
from touchstone.seams import find

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import ModelMeta
    from mteb.types import Array, BatchedInput, PromptType
    from torch.utils.data import DataLoader


class PromptedEncoder:
    """A model as mteb calls it.

    mteb's own wrapper drops prompts whose name it does not know, and sentence-transformers puts in others where
    none is given; here every call says its prompt, also when that is none.

    Args:
        model: what encodes.
        scored_by: mteb's wrapper of the same model, for its metadata and its similarity.
        prompting: the rules.
    """

    def __init__(
        self,
        model: TextEncoder,
        scored_by: Comparing,
        prompting: Prompting,
    ) -> None:
        self._model = model
        self._scored_by = scored_by
        self.prompting = prompting
        self.prompt_used: str | None = None

    @property
    def mteb_model_meta(self) -> "ModelMeta":
        """Mteb's metadata of the model."""
        meta: ModelMeta = self._scored_by.mteb_model_meta
        return meta

    @mteb_model_meta.setter
    def mteb_model_meta(self, meta: "ModelMeta") -> None:
        self._scored_by.mteb_model_meta = meta  # mteb's wrappers replace it

    def prompt(self, task_metadata: "TaskMetadata", prompt_type: "PromptType | None") -> Prompt:
        """Return what is put before a text of a task, and who says so."""
        return self.prompting.find(task_text(task_metadata, prompt_type))

    def encode(
        self,
        inputs: "DataLoader[BatchedInput]",
        *,
        task_metadata: "TaskMetadata",
        hf_split: str,  # noqa: ARG002  # mteb passes where the texts are from
        hf_subset: str,  # noqa: ARG002
        prompt_type: "PromptType | None" = None,
        **kwargs: Any,
    ) -> "Array":
        """Encode texts; shape (texts, dimensions). `prompt_used` is then what was put before each of them."""
        role = _role(prompt_type)
        prompt = self.prompt(task_metadata, prompt_type).text
        texts = read_texts(inputs)
        # The two differ from `encode` in which modules a model with a router for queries and documents runs.
        encode: Any = {"query": self._model.encode_query, "document": self._model.encode_document}.get(
            role or "", self._model.encode
        )
        vectors: Any = encode(texts, prompt=prompt, **kwargs)
        self.prompt_used = prompt
        plain: Array = vectors.detach().float().cpu() if hasattr(vectors, "detach") else vectors
        return plain

    def similarity(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Return the model's own similarity of all to all."""
        return self._scored_by.similarity(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: "Array", embeddings2: "Array") -> "Array":
        """Return the model's own similarity, pair by pair."""
        return self._scored_by.similarity_pairwise(embeddings1, embeddings2)


def task_text(task_metadata: "TaskMetadata", prompt_type: "PromptType | None") -> Text:
    """Describe the texts of one call of mteb's, for the choice of their prompt.

    The instruction is the task's own for the role, or where it has none its type's, as in
    `mteb.models.abs_encoder.AbsEncoder.get_instruction`.
    """
    role = _role(prompt_type)
    said: Any = task_metadata.prompt or _type_instruction(task_metadata)
    # A task may have an instruction for its queries only; a text without a role is what the task is about.
    instruction = said.get(role or "query", "") if isinstance(said, dict) else said
    return Text(task=task_metadata.name, type=task_metadata.type, role=role, instruction=instruction)


def _type_instruction(task_metadata: "TaskMetadata") -> str:
    prompt: str = find("mteb.abstasks.abstask:get_abstask_prompt")(task_metadata.name)
    return prompt


def _role(prompt_type: "PromptType | None") -> Role | None:
    return None if prompt_type is None else prompt_type.value
