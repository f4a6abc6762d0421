"""What of an EvalScope configuration means something else here than there, or nothing: one sentence each."""

from collections.abc import Iterator, Mapping

from touchstone.config.base import Spec
from touchstone.config.evalscope.schema import MAX_SEQ_LENGTH, TOP_K, EvalEntry, EvalScopeConfig, ModelEntry
from touchstone.records.names import RENAMED_TASKS


def notes_on_data(asked: EvalEntry) -> Iterator[str]:
    """Return what of the choice of tasks and data means something else here, or nothing."""
    for name in asked.names:
        if name in RENAMED_TASKS:
            yield f"eval.tasks: {name} is {RENAMED_TASKS[name]} in mteb"
    if asked.names and (asked.task_types or asked.languages):
        yield "eval.task_types and languages are not used: tasks are named"
    if asked.limits is not None:
        yield (
            f"eval.limits = {asked.limits} keeps a sample that is the same on every machine, and all training rows; "
            "EvalScope keeps the first rows of both, so its scores are others"
        )
    if asked.hub is None:
        yield "eval.hub is not said: data sets come from the run's source, not from ModelScope"


def notes_on_run(config: EvalScopeConfig) -> Iterator[str]:
    """Say the same of how it is run and where results go."""
    tool, asked = config.eval_config, config.eval_config.eval
    if asked.verbosity is not None:
        yield f"eval.verbosity = {asked.verbosity} is not used: pytest's own -v and -q decide"
    if not asked.overwrite_results:
        yield (
            "eval.overwrite_results = false: everything is measured again, and every run's record is kept; "
            "in mteb's layout there is the last result"
        )
    if asked.output_folder and config.work_dir not in (None, asked.output_folder):
        yield "work_dir is not used: output_folder says where results go"
    if config.folder is not None:
        inside = "results, in mteb's layout," if asked.limits is None else "records of runs, and none in mteb's layout,"
        where = f"{config.folder}/{'results' if asked.limits is None else 'runs'}"
        apart = (
            " and, model by model, in stage1 and stage2 beside it" if tool.two_stages and asked.limits is None else ""
        )
        yield f"output_folder: {inside} are in {where}{apart} unless --store is typed"
    if tool.two_stages and asked.top_k is None:
        yield f"eval.top_k is not said: {TOP_K[tool.key]}, EvalScope's default"
    if not tool.two_stages and asked.top_k is not None:
        yield f"eval.top_k = {asked.top_k} is not used: there is no second stage to rerank"


def notes_on_model(entry: ModelEntry, known: Mapping[str, Spec], *, is_folder: bool) -> Iterator[str]:
    """Say the same of a model."""
    named = entry.model_name_or_path in known
    if entry.hub is not None and (named or is_folder):
        yield f'hub = "{entry.hub}" is not used: {entry.model_name_or_path} is on this machine or in models.toml'
    if entry.hub is None and not (named or is_folder):
        yield "hub is not said: modelscope, EvalScope's default"
    if entry.max_seq_length is None and not named:
        yield f"max_seq_length is not said: {MAX_SEQ_LENGTH}, EvalScope's default"
    if entry.prompts and (entry.prompt or entry.is_cross_encoder):
        why = "there is a prompt" if entry.prompt else "EvalScope's cross-encoders have a prompt only"
        yield f"prompts is not used: {why}"
