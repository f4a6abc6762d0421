"""Prompts of texts: by the specification, by the model's own files, or by mteb's instruction of the task."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from touchstone.errors import suggest

# A text of a retrieval or reranking task is one or the other; those of all other tasks are neither.
Role = Literal["query", "document"]
ROLES: tuple[Role, ...] = ("query", "document")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A kind of text: of which task and type of mteb's, in which role, and mteb's instruction for it, if any."""

    task: str
    type: str
    role: Role | None = None
    instruction: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt: what is put before a text, and who says so."""

    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompting:
    """Rules for prompts: everything that decides what is put before a text.

    ``prompts`` go by the names that mteb gives them; ``source`` says whose. ``default`` is the prompt of a
    text without a role that no name fits. ``template`` and ``instruct`` are `EncoderSpec`'s ``instruction`` and
    ``instruct``.
    """

    prompts: Mapping[str, str] = field(default_factory=dict)
    source: str = "the specification"
    default: str | None = None
    template: str | None = None
    instruct: Literal["queries", "symmetric", "all"] = "symmetric"

    def find(self, text: Text) -> Prompt:
        """Return the prompt of a text, ``""`` for none.

        A name for the task wins over one for its type, and that over the role alone; within each, the name with the
        role wins. That is the order of `mteb.models.abs_encoder.get_prompt_name`. Then comes the instruction.
        """
        for name in prompt_names(text):
            if name in self.prompts:
                return Prompt(text=self.prompts[name], source=f"prompts.{name} of {self.source}")
        if self.template is not None and self._instructs(text.role):
            return Prompt(text=fill(self.template, text.instruction), source=f"instruction of {self.source}")
        if self.default is not None and text.role is None:
            return Prompt(text=self.default, source=f"default prompt of {self.source}")
        return Prompt(text="", source="none is set")

    def in_the_clear(self) -> dict[str, str]:
        """Return every text that can be put before an input, by its name; the template is called instruction."""
        named = {name: text for name, text in self.prompts.items() if text}
        if self.default:
            named["default"] = self.default
        return named | ({} if self.template is None else {"instruction": self.template})

    def _instructs(self, role: Role | None) -> bool:
        return role == "query" or self.instruct == "all" or (role is None and self.instruct == "symmetric")


def prompt_names(text: Text) -> list[str]:
    """Return the names under which a text's prompt may be, the one that wins first."""
    names = []
    for name in (text.task, text.type):
        names += [f"{name}-{text.role}", name] if text.role else [name]
    return names + ([text.role] if text.role else [])


def fill(template: str, instruction: str) -> str:
    """Put an instruction into a template; without an instruction there is nothing to put before a text."""
    return template.removesuffix("{query}").replace("{instruction}", instruction) if instruction else ""


def check_names(prompts: Mapping[str, str], tasks: Mapping[str, str]) -> str | None:
    """Return what is wrong with the first prompt that no text would ever get, None if there is none.

    Args:
        prompts: by name.
        tasks: the type of each task that there is, by its name.
    """
    names: Collection[str] = {*tasks, *tasks.values(), *ROLES}
    for name in prompts:
        stem, _, role = name.rpartition("-")
        if name not in names and not (role in ROLES and stem in names and stem not in ROLES):
            return f'prompts.{name}: "{name}" is no task, task type or role of mteb{suggest(name, names)}'
    return None
