"""Which cases a run has: every model of every suite on every task, and what was left out because it cannot work."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from touchstone.baselines.files import Baselines
from touchstone.config.base import Spec
from touchstone.config.models import Guess, Guesser, Model, load_models
from touchstone.config.options import Options, Project
from touchstone.config.retrievers import PythonSpec
from touchstone.config.suites import NamedSuite, load_suite
from touchstone.encoding.prompts import check_names
from touchstone.errors import ConfigError, TouchstoneError, suggest
from touchstone.files.writing import to_json
from touchstone.models.api.guessing import Guesses
from touchstone.models.kinds import find_typed, kind_of, models_of, models_of_suites
from touchstone.own_code import look_in
from touchstone.records.cases import Case, Source, TaskInfo
from touchstone.tasks.catalog import find_tasks, known_names, known_tasks
from touchstone.tasks.definitions import define_task


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The cases of a run, the models they need, and the pairs that were not made, counted by reason.

    ``store`` is the folder for results; ``notes`` say what of a suite's file was not taken at its word, and why.
    ``without`` names, as they were typed, the suites that a model is not in. ``named`` are all models that can be
    typed by their alias. ``guesses`` say what servers were taken for, to be handed to this run's other processes.
    """

    suite: str
    cases: tuple[Case, ...]
    models: Mapping[str, Model]
    left_out: Mapping[str, int]
    store: Path
    notes: tuple[str, ...] = ()
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    guesses: Mapping[str, Guess] = field(default_factory=dict)

    @property
    def omissions(self) -> tuple[str, ...]:
        """A sentence on each reason for which pairs were not made."""
        return tuple(f"{count} cases left out: {reason}" for reason, count in self.left_out.items())

    def refuse_empty(self) -> None:
        """Refuse a run of no case.

        Raises:
            ConfigError: with what was left out, and why.
        """
        if not self.cases:
            why = "; ".join(f"{count} left out: {reason}" for reason, count in self.left_out.items())
            raise ConfigError(f"suite {self.suite}: no case is left to run{f': {why}' if why else ''}")

    @property
    def mirrors(self) -> tuple[Path, ...]:
        """The mirrors of its cases, where models are looked for too."""
        sources = (case.source for case in self.cases if case.source.kind == "mirror")
        return tuple(dict.fromkeys(source.path for source in sources if source.path is not None))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """What a suite's file plans: its tasks, whatever is selected of them, and its models or those typed."""

    suite: NamedSuite
    tasks: Sequence[TaskInfo]
    models: Mapping[str, Model]


def find_cases(options: Options) -> Plan:
    """Work out the cases of a run, model by model, each in the order of its suite.

    Raises:
        ConfigError: a suite, model, task or gate value is not one that there is.
        BaselineError: ``--against`` names a model without baselines.
    """
    if options.against is not None:
        Baselines(options.baselines).require_alias(options.against, "--against")
    specs = _add_objects(load_models(*options.models_files), options)
    suites = [options.inline_suites.get(name) or load_suite(name, options.cwd, specs) for name in options.suites]
    for suite in suites:
        _refuse_outside(suite, options)
        _admit_classes(suite, options)
    guesses = Guesses(options.guesses, offline=options.offline)
    chosen = _find_models(options, suites, specs, guesses)
    _admit_objects([model for models in chosen for model in models.values()], options)
    tasks = [find_tasks(suite.suite.tasks, str(suite.file)) for suite in suites]
    offers = [_Offer(suite=s, tasks=t, models=m) for s, t, m in zip(suites, tasks, chosen, strict=True)]
    cases, left_out = _select(offers, options)
    by_alias = {alias: model for offer in offers for alias, model in offer.models.items()}
    _check_prompts(by_alias.values(), cases)
    if options.offline:
        _refuse_network(by_alias.values())
    entries = [_plan(offer, options) for offer in offers]
    counts, order = {alias: _count(alias, offers, entries) for alias in by_alias}, list(by_alias)
    cases = [replace(case, policy=replace(case.policy, **counts[case.alias])) for case in cases]
    return Plan(
        suite=" + ".join(suite.name for suite in suites),
        cases=tuple(sorted(cases, key=lambda case: order.index(case.alias))),
        models=by_alias,
        left_out=left_out,
        store=_store(options, suites),
        notes=(*_unread(options), *_notes(suites, by_alias.values())),
        without={
            alias: tuple(n for n, offer in zip(options.suites, offers, strict=True) if alias not in offer.models)
            for alias in by_alias
        },
        named=frozenset({*specs, *_named_by_suites(options, specs)}),
        guesses=guesses.guesses,
    )


def _add_objects(specs: dict[str, Spec], options: Options) -> dict[str, Spec]:
    """Add the models that a program hands over; under an alias of models.toml one would pass for that model."""
    if clashes := sorted(specs.keys() & options.objects.keys()):
        raise ConfigError(f'alias = "{clashes[0]}" is a model of models.toml; give the model another alias')
    return {**specs, **options.objects}


def _unread(options: Options) -> Iterator[str]:
    """Yield a note on a suite of the project that is there and is not run, since nothing names it."""
    file = options.root / "evals" / "suite.toml"
    if options.suites == (Project().suite,) and "--suite" not in options.command and file.is_file():
        name = os.path.relpath(file, options.cwd)
        yield f'{name} is not read: add --suite {name}, or suite = "evals/suite.toml" to [tool.touchstone]'


def _notes(suites: Iterable[NamedSuite], models: Iterable[Model]) -> Iterator[str]:
    yield from (f"{suite.file.name}: {note}" for suite in suites for note in suite.notes)
    yield from (f"{model.alias}: {model.guess.reason}" for model in models if model.guess is not None)


def _select(offers: Sequence[_Offer], options: Options) -> tuple[list[Case], dict[str, int]]:
    """Return the cases of the tasks that were typed, and how many pairs were left out, by reason."""
    cases: dict[str, Case] = {}
    left_out: dict[str, int] = {}
    matched: set[str] = set()
    for offer in offers:
        _check_tasks(offer.suite, offer.tasks)
        for task in _pick(offer.tasks, options.tasks, matched):
            if task.name in options.tasks:
                _refuse_more_than_text(task)
            for alias, model in offer.models.items():
                reason = _why_not(task, model)
                if reason is None:
                    _add(cases, _make_case(alias, task, offer.suite, options))
                else:
                    left_out[reason] = left_out.get(reason, 0) + 1
    _refuse_unmatched(options.tasks, matched, offers)
    return list(cases.values()), left_out


def _count(alias: str, offers: Sequence[_Offer], plans: Sequence[frozenset[str]]) -> dict[str, Any]:
    """Return how many cases a model has in the suites' files, whatever is selected, and the hash of what they plan.

    That is the same for each model, on every machine.
    """
    names: set[str] = set()
    entries: set[str] = set()
    for offer, plan in zip(offers, plans, strict=True):
        if alias in offer.models:
            entries |= plan
            names.update(task.name for task in offer.tasks if _why_not(task, offer.models[alias]) is None)
    return {"gated": len(names), "plan": hashlib.sha256(to_json(sorted(entries)).encode()).hexdigest()[:12]}


def _plan(offer: _Offer, options: Options) -> frozenset[str]:
    """Return what a suite's file plans with each of its tasks, for any of its models."""
    cases = [_make_case(alias, task, offer.suite, options) for alias in [*offer.models][:1] for task in offer.tasks]
    return frozenset(to_json([case.task.name, case.limit, asdict(case.policy)]) for case in cases)


def _refuse_outside(suite: NamedSuite, options: Options) -> None:
    """Refuse folders that a suite would have written outside the project and its own folder: it may be a stranger's."""
    source = suite.suite.source if options.source is None else None
    folders = {
        "--store": suite.suite.store if options.store is None else None,
        "--source modelscope:": source.path if source is not None and source.kind == "modelscope" else None,
    }
    for option, folder in folders.items():
        if folder is not None and not any(
            map(folder.resolve().is_relative_to, (options.root, suite.file.parent.resolve()))
        ):
            raise ConfigError(f"{suite.file}: {folder} lies outside {options.root}; type it, with {option}")


def refuse_python(what: str, file: Path, options: Options) -> None:
    """Refuse to run Python that a file outside of the project names: it may be a stranger's.

    Args:
        what: what names it, such as ``class = "module:name"``.
        file: the suite or configuration that says so.
        options: with the project's root, and whether it was allowed.

    Raises:
        ConfigError: it was not.
    """
    if not options.allow_python and not file.resolve().is_relative_to(options.root.resolve()):
        raise ConfigError(f"{file}: {what} is Python, and the file lies outside {options.root}; add --allow-python "
                          "to let it run")  # fmt: skip


def _admit_classes(suite: NamedSuite, options: Options) -> None:
    """Look for the classes that a suite names beside its file, too, if they may run."""
    classes = [task.class_ for task in suite.suite.tasks.custom if task.class_ is not None]
    for name in classes:
        refuse_python(f'class = "{name}"', suite.file, options)
    if classes:
        look_in(suite.file.parent)


def _admit_objects(models: Iterable[Model], options: Options) -> None:
    """Look for objects of models beside the file that names them, too, if they may run."""
    used_specs = [stage.spec for model in models for stage in model.family if isinstance(stage.spec, PythonSpec)]
    specs: dict[str, Spec] = {}
    for number, file in enumerate(options.models_files if used_specs else ()):
        earlier, specs = specs, load_models(*options.models_files[: number + 1])
        for alias, spec in specs.items():
            if isinstance(spec, PythonSpec) and spec in used_specs and earlier.get(alias) != spec:
                refuse_python(f'object = "{spec.object}"', file, options)
                look_in(file.parent.resolve())


def _store(options: Options, suites: Sequence[NamedSuite]) -> Path:
    """Return the folder for results: the one typed, else the suites' own, else the default."""
    folders = list(dict.fromkeys(suite.suite.store for suite in suites if suite.suite.store is not None))
    if options.store is not None or not folders:
        return options.store_folder
    if len(folders) > 1:
        raise ConfigError(f"the suites name two stores, {folders[0]} and {folders[1]}; say one with --store")
    return folders[0]


def _find_models(
    options: Options, suites: Sequence[NamedSuite], specs: Mapping[str, Spec], guess: Guesser
) -> list[dict[str, Model]]:
    """Resolve each suite's models, or those of ``--model`` for all of them; suites may define some themselves."""
    specs = {**specs, **_defined(suites)}
    resolved: list[dict[str, Model]] = []
    for suite in suites:
        if options.models:
            models = [find_typed(text, specs, options, "--model", guess=guess) for text in options.models]
        else:
            models = models_of(suite, specs, options.cwd)
        resolved.append({})
        for model in models:
            if resolved[-1].setdefault(model.alias, model) != model:
                raise ConfigError(f'two models are called "{model.alias}"; name one of them: --model PATH=NAME')
    return resolved


def _named_by_suites(options: Options, specs: Mapping[str, Spec]) -> Iterable[str]:
    """Return the aliases that suites give, where the advice on another model's baseline may need them."""
    with suppress(TouchstoneError):  # of a suite that this run does not need
        return models_of_suites(options, specs) if options.against else ()
    return ()


def _defined(suites: Sequence[NamedSuite]) -> dict[str, Spec]:
    models: dict[str, Spec] = {}
    for suite in suites:
        for alias, spec in suite.models.items():
            if models.setdefault(alias, spec) != spec:
                raise ConfigError(
                    f'{suite.file}: another suite of this run has another model "{alias}"; run one by one'
                )
    return models


def _pick(tasks: Sequence[TaskInfo], patterns: Sequence[str], matched: set[str]) -> list[TaskInfo]:
    picked = []
    for task in tasks:
        matches = [pattern for pattern in patterns if fnmatchcase(task.name, pattern)]
        matched.update(matches)
        if matches or not patterns:
            picked.append(task)
    return picked


def _refuse_unmatched(patterns: Sequence[str], matched: set[str], offers: Sequence[_Offer]) -> None:
    task_names = {task.name for offer in offers for task in offer.tasks}
    for pattern in patterns:
        if pattern in matched:
            continue
        if (task := define_task(pattern)) is not None:
            _refuse_more_than_text(task)
        names = known_names()
        suites = " + ".join(offer.suite.name for offer in offers)
        if any(fnmatchcase(name, pattern) for name in names):
            candidates = sorted(name for name in task_names if fnmatchcase(name.lower(), pattern.lower()))
            near = f'; did you mean "{candidates[0]}"?' if candidates else "; name a suite that has it with --suite"
            raise ConfigError(f'--task = "{pattern}" is not in suite {suites}{near}')
        near = suggest(pattern, task_names) or suggest(pattern, names)
        raise ConfigError(f'--task = "{pattern}" is no task of suite {suites} or of mteb{near}')


def _refuse_more_than_text(task: TaskInfo) -> None:
    """Refuse a task of images and the like that was typed by its name; of a whole suite they are counted."""
    if (reason := _other_than_text(task)) is not None:
        raise ConfigError(f'--task = "{task.name}" is {reason}; only tasks of texts alone are run')


def _check_prompts(models: Iterable[Model], cases: Iterable[Case]) -> None:
    """Refuse a prompt that no text would ever get: its model would be measured without it."""
    with_prompts = {model.alias: prompts for model in models if (prompts := kind_of(model).prompts(model))}
    if not with_prompts:
        return
    types = known_tasks() | {case.task.name: case.task.type for case in cases}
    for alias, prompts in with_prompts.items():
        reason = check_names(prompts, types)
        if reason is not None:
            raise ConfigError(f"[{alias}] {reason}")


def _refuse_network(models: Iterable[Model]) -> None:
    for model in (stage for whole in models for stage in whole.family):
        address = kind_of(model).remote(model)
        if address is not None:
            raise ConfigError(f"--offline promises no network call, and {model.alias} is at {address}")


def _check_tasks(suite: NamedSuite, tasks: Sequence[TaskInfo]) -> None:
    """Refuse a margin, floor or limit for what the suite does not have: it would silently guard nothing."""
    names, types = {task.name for task in tasks}, {task.type for task in tasks}
    for where, by_name in (("[gate] floors", suite.suite.gate.floors), ("limits", suite.suite.limits)):
        for name in by_name:
            if name not in names:
                raise ConfigError(f'{suite.file}: {where}: "{name}" is not in this suite{suggest(name, names)}')
    for name in suite.suite.gate.margins:
        if name not in types:
            raise ConfigError(f'{suite.file}: [gate] margins: no task here has the type "{name}"{suggest(name, types)}')


def _why_not(task: TaskInfo, model: Model) -> str | None:
    """Return why a model cannot run a task, if it cannot."""
    return _other_than_text(task) or kind_of(model).why_not(model, task.type)


def _other_than_text(task: TaskInfo) -> str | None:
    """Return what a task is of, if that is more or other than texts."""
    return None if set(task.modalities) == {"text"} else f"not text only ({', '.join(sorted(task.modalities))})"


def _make_case(alias: str, task: TaskInfo, suite: NamedSuite, options: Options) -> Case:
    return Case(
        alias=alias,
        task=task,
        suite=suite.name,
        source=options.source or suite.suite.source or Source(),
        policy=options.override(suite.suite.gate.policy(task.name, task.type)),  # what was typed wins
        limit=options.limit or suite.suite.limits.get(task.name, suite.suite.limit),
        stage_folders=suite.suite.stage_folders,
        slices=suite.suite.slices,
    )


def _add(cases: dict[str, Case], case: Case) -> None:
    """Add a case; the same one from a second suite is one case, a differing one is a contradiction."""
    first = cases.setdefault(case.id, case)
    if replace(first, suite=case.suite) != case:
        raise ConfigError(
            f"suites {first.suite} and {case.suite} both have {case.id}, with other subsets, splits, source, margin or "
            "limit, or other slices; run them one after the other"
        )
