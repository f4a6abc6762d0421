"""Prompts that mteb measures a published model with: its files or its specification must have prompts too, or none."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tomli_w import dumps

from touchstone.config.specs import EncoderSpec
from touchstone.encoding.prompts import ROLES, Role, check_names
from touchstone.errors import ModelError
from touchstone.seams import find
from touchstone.task_types.registry import find_type
from touchstone.tasks.catalog import known_tasks

if TYPE_CHECKING:
    from mteb.models import ModelMeta
    from sentence_transformers import SentenceTransformer

# Arguments of mteb's loaders that put something before texts; and those that decide its order or pooling.
PROMPT_ARGUMENTS = {"model_prompts", "prompts_dict", "instruction_template"}
ORDER_ARGUMENTS = {"prompt_priority", "include_prompt"}
MARKER = "\ufffc"  # stands for an instruction; no template has it


def check_prompts(spec: EncoderSpec, loaded: "SentenceTransformer") -> None:
    """Refuse a model that mteb measures with prompts if neither its files nor its specification have any.

    Raises:
        ModelError: with what to write.
    """
    has_prompts = spec.prompts is not None or spec.instruction is not None or any(loaded.prompts.values())
    meta = None if has_prompts else find("mteb.models.model_implementations:MODEL_REGISTRY").get(spec.published)
    settings = {} if meta is None else settings_in_mteb(meta)
    if settings:
        what, line = "prompts", " and ".join(as_lines(settings))
    elif settings is None:
        # Of a folder it would be other weights.
        advice = f'kind = "registry" and name = "{spec.published}"' if spec.id else "those of its card as prompts"
        what, line = "prompts that code of its own chooses", advice
    else:
        return
    raise ModelError(
        f"mteb measures {spec.published} with {what}, and neither the model's files nor models.toml give any; "
        f"write {line} in models.toml, or prompts = {{}} for none"
    )


def settings_in_mteb(meta: "ModelMeta") -> dict[str, Any] | None:
    """Return the settings of an `EncoderSpec` that put before each text what mteb does.

    ``{}`` where mteb puts nothing there but what the model's files say, None where no settings do the same.
    """
    from mteb.models import SentenceTransformerEncoderWrapper, sentence_transformers_loader
    from mteb.models.instruct_wrapper import InstructSentenceTransformerModel

    loader: Any = meta.loader
    arguments = meta.loader_kwargs
    used = PROMPT_ARGUMENTS & arguments.keys()
    if loader in (SentenceTransformerEncoderWrapper, sentence_transformers_loader) and used <= {"model_prompts"}:
        candidates = arguments.get("model_prompts") or {}  # those of other names mteb ignores
        prompts = {name: text for name, text in candidates.items() if check_names({name: text}, known_tasks()) is None}
        return {"prompts": prompts} if any(prompts.values()) else {}
    if loader is InstructSentenceTransformerModel and not ORDER_ARGUMENTS & arguments.keys():
        fill = _filling(
            arguments.get("instruction_template"), to_documents=arguments.get("apply_instruction_to_passages", True)
        )
        settings = _instruction(fill)
        return settings and _with_prompts(settings, fill, arguments.get("prompts_dict") or {})
    return None if loader is not None and (used or meta.use_instructions) else {}


def _filling(template: Any, *, to_documents: bool) -> Callable[[str, Role | None], str]:
    """Return a function that fills in an instruction for texts of a role, as mteb does."""
    from mteb.types import PromptType

    def fill(instruction: str, role: Role | None) -> str:
        if role == "document" and not to_documents:
            return ""
        if callable(template):
            return str(template(instruction, None if role is None else PromptType(role)))
        return template.format(instruction=instruction) if template and instruction else instruction

    return fill


def _instruction(fill: Callable[[str, Role | None], str]) -> dict[str, Any] | None:
    """Return the settings that fill in the same, with the prompt of documents; None if there are none."""
    query, document, neither = (fill(MARKER, role) for role in ("query", "document", None))
    instruct = {(query, query): "all", ("", query): "symmetric", ("", ""): "queries"}.get(
        (document if MARKER in document else "", neither)
    )
    # Where there is no instruction our templates put nothing before a text.
    empty = [fill("", "query"), fill("", None), fill("", "document")]
    if instruct is None or query.count(MARKER) != 1 or empty != ["", "", "" if MARKER in document else document]:
        return None
    settings: dict[str, Any] = {"instruction": query.replace(MARKER, "{instruction}") + "{query}"}
    settings |= {} if instruct == "symmetric" else {"instruct": instruct}
    return settings | ({} if MARKER in document or not document else {"prompts": {"document": document}})


def _with_prompts(
    settings: dict[str, Any], fill: Callable[[str, Role | None], str], instructions: Mapping[str, Any]
) -> dict[str, Any]:
    """Add the prompts of the tasks, types and roles for which mteb has an instruction of its own."""
    tasks = known_tasks()
    prompts = dict(settings.get("prompts", {}))
    for name in instructions.keys() & {*tasks, *tasks.values(), *ROLES}:
        ranks = find_type(tasks.get(name, name)).searches is not None
        for role in ROLES if ranks else (None,) if name not in ROLES else (name,):
            prompts[f"{name}-{role}" if ranks else name] = fill(_instruction_for(role, instructions[name]), role)
    if settings.get("instruct") != "all" and not any(prompts[name] for name in prompts if name.endswith("document")):
        prompts = {name: text for name, text in prompts.items() if not name.endswith("document")}  # they get none
    return settings | ({"prompts": dict(sorted(prompts.items()))} if prompts else {})


def _instruction_for(role: Role | None, value: Any) -> Any:
    return value.get(role or "query", "") if isinstance(value, Mapping) else value


def as_lines(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as lines of TOML, each table on one line."""
    return [
        f"{key} = {{ {', '.join(as_lines(value))} }}" if isinstance(value, Mapping) else dumps({key: value}).rstrip()
        for key, value in settings.items()
    ]
