"""Notes on settings of an EvalScope configuration that mean something else here, or nothing: one sentence each."""

from collections.abc import Iterator, Mapping

from touchstone.config.base import Spec
from touchstone.config.evalscope.schema import MAX_SEQ_LENGTH, TOP_K, EvalEntry, EvalScopeConfig, ModelEntry
from touchstone.records.names import RENAMED_TASKS


def notes_on_data(entry: EvalEntry) -> Iterator[str]:
    """Yield the notes on the choice of tasks and data."""
    for name in entry.names:
        if name in RENAMED_TASKS:
            yield f"eval.tasks: {name} is {RENAMED_TASKS[name]} in mteb"
    if entry.names and (entry.task_types or entry.languages):
        yield "eval.task_types and languages are not used: tasks are named"
    if entry.limits is not None:
        yield (
            f"eval.limits = {entry.limits} keeps a sample that is the same on every machine, and all training rows; "
            "EvalScope keeps the first rows of both, so its scores are others"
        )
    if entry.hub is None:
        yield "eval.hub is not set: data sets come from the run's source, not from ModelScope"


def notes_on_run(config: EvalScopeConfig) -> Iterator[str]:
    """Yield the notes on the run and the folders of its results."""
    tool, entry = config.eval_config, config.eval_config.eval
    if entry.verbosity is not None:
        yield f"eval.verbosity = {entry.verbosity} is not used: pytest's own -v and -q decide"
    if not entry.overwrite_results:
        yield (
            "eval.overwrite_results = false: everything is measured again, and every run's record is kept; "
            "in mteb's layout there is the last result"
        )
    if entry.output_folder and config.work_dir not in (None, entry.output_folder):
        yield "work_dir is not used: output_folder says where results go"
    if config.folder is not None:
        files = "results, in mteb's layout," if entry.limits is None else "records of runs, and none in mteb's layout,"
        where = f"{config.folder}/{'results' if entry.limits is None else 'runs'}"
        apart = (
            " and, model by model, in stage1 and stage2 beside it" if tool.two_stages and entry.limits is None else ""
        )
        yield f"output_folder: {files} are in {where}{apart} unless --store is typed"
    if tool.two_stages and entry.top_k is None:
        yield f"eval.top_k is not set: {TOP_K[tool.key]}, EvalScope's default"
    if not tool.two_stages and entry.top_k is not None:
        yield f"eval.top_k = {entry.top_k} is not used: there is no second stage to rerank"


def notes_on_model(entry: ModelEntry, specs: Mapping[str, Spec], *, is_folder: bool) -> Iterator[str]:
    """Yield the notes on a model."""
    is_named = entry.model_name_or_path in specs
    if entry.hub is not None and (is_named or is_folder):
        yield f'hub = "{entry.hub}" is not used: {entry.model_name_or_path} is on this machine or in models.toml'
    if entry.hub is None and not (is_named or is_folder):
        yield "hub is not set: modelscope, EvalScope's default"
    if entry.max_seq_length is None and not is_named:
        yield f"max_seq_length is not set: {MAX_SEQ_LENGTH}, EvalScope's default"
    if entry.prompts and (entry.prompt or entry.is_cross_encoder):
        why = "there is a prompt" if entry.prompt else "EvalScope's cross-encoders have a prompt only"
        yield f"prompts is not used: {why}"
