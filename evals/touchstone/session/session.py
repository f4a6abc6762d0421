"""One run from its options to its files. Knows nothing of pytest; the plugin calls it."""

import shlex
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, partial
from itertools import pairwise

from touchstone.baselines.files import Baselines
from touchstone.config.options import Options
from touchstone.environment import describe_environment, find_commit
from touchstone.errors import BaselineError, ModelError, TouchstoneError
from touchstone.formatting import count, points, signed_points, some
from touchstone.judging.gate import Comparison, expected_score, judge
from touchstone.judging.overall import exit_code, judge_models
from touchstone.measuring.case import Progress, join_results, reopen
from touchstone.measuring.engines.local import LocalEngine
from touchstone.measuring.engines.ray import ActorResult, Failed
from touchstone.measuring.parts import Part
from touchstone.models.kinds import kind_of
from touchstone.records.baselines import Reference
from touchstone.records.cases import Case
from touchstone.records.examples import Shown
from touchstone.records.flat import flatten
from touchstone.records.names import slug
from touchstone.records.outcomes import OF_ANOTHER_COMPUTATION, Measurement, Outcome
from touchstone.records.runs import Record, Run, Shard, SuiteVerdict, make_record
from touchstone.records.samples import Samples, encode_samples
from touchstone.records.verdicts import Verdict
from touchstone.report.formats import Target, find_target
from touchstone.schedule.workload import find_workload, statistics_folder
from touchstone.seams import TESTED_VERSIONS, untried_mteb
from touchstone.session.compare import pair_known, slice_known
from touchstone.session.examples import TEXTS_NOT_READ, show
from touchstone.session.plan import Plan, find_cases
from touchstone.session.reports import find_pair, write_baselines, write_report
from touchstone.session.reuse import (
    PLUGINS,
    Elsewhere,
    OutcomeCache,
    Suites,
    examples_key,
    others_than_before,
    suites_key,
    verdict_key,
)
from touchstone.session.shards import count_parts, cut
from touchstone.session.studies.canaries import hold_or_check
from touchstone.store.folder import Store
from touchstone.store.gathering import take
from touchstone.task_types.base import Predicted
from touchstone.tasks.identity import watch_data
from touchstone.tasks.opening import bring_missing

# While a run goes on, its record is written at most once in so many seconds, and in at most one part in so many of the
# time.
WRITE_INTERVAL_S, WRITE_TIME_RATIO = 1.0, 20.0
# In the place of the hash of the code beside ours, where none is loaded.
NO_CODE_BESIDE = "none"
# What the processes of a run call the list of the cases that were selected, of which a shard has some.
WHOLE_RUN = "cases of the whole run"
# Data of more texts than that is not read again for the sake of a few of them.
MAX_TEXTS, MAX_CHARACTERS = 1_000_000, 1e9
# The folder beside baselines in which a model may have canaries, and the rules under which these say what moved.
CANARIES, SAME_VECTOR_RULES = "canaries", ("reproduce", "equivalent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a run left: its record, what to tell the user, and the exit code that all of it asks for."""

    run: Run
    notes: tuple[str, ...]
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCase:
    """The outcome of a case, and while its data is open its samples and what was predicted, by stratum.

    ``predicted`` is None for an earlier outcome: nothing is open. ``shown`` are examples that were made elsewhere.
    """

    outcome: Outcome
    samples: Samples | None = None
    predicted: Mapping[str, Predicted] | None = None
    shown: Shown | None = None


class Session:
    """A run in progress: measures and judges cases, collects records, writes everything at the end.

    Args:
        options: checked.
        plan: the cases of these options.
        plugins: returns the hash of the code beside ours in this process, such as a conftest's.
    """

    def __init__(self, options: Options, plan: Plan, plugins: Callable[[], str] = str) -> None:
        self.options = options
        self.plan = plan
        self.env = describe_environment()
        self.store = Store(
            plan.store, run=options.run, reuse_api=options.reuse_api, overwrite=options.overwrite,
            patience=options.patience, mirrors=plan.mirrors,
        )  # fmt: skip
        self.baselines = Baselines(options.baselines)
        self.engine = LocalEngine(plan.models, options.device, self.store, workers=options.workers)
        self._plugins = cache(plugins)
        self.cache = OutcomeCache(plan.models, options.device, self.store, self._plugins)
        self.started = datetime.now(UTC)
        self.targets = [find_target("--report", options.cwd, text) for text in options.reports]
        self.commit = find_commit(options.root)
        self._cases = {case.id: case for case in plan.cases}
        self.elsewhere: Elsewhere | None = None
        self.shard = options.shard
        self._expected: tuple[str, ...] = ()
        self._whole: tuple[str, ...] = ()
        self._records: dict[str, Record] = {}
        self._notes: dict[str, None] = {}
        self._results: dict[str, ActorResult | Failed] = {}
        self._stopped: str | None = None
        self._next_write = 0.0

    @contextmanager
    def measure(self, case: Case, progress: Progress) -> Iterator[MeasuredCase]:
        """Run one case, or take its earlier outcome if nothing that decides it has changed.

        The data of a case that is run stays open as long as the context.

        Raises:
            TouchstoneError: it could not be measured.
        """
        if case.id in self._results:
            yield self._take(case, self._results[case.id])
            return
        if self.elsewhere is not None and (cached := self.cache.find(case)) is not None:
            yield MeasuredCase(outcome=cached)  # its data need not be on this machine
            return
        bring_missing(case.task, case.source, self.store)
        check_data = watch_data(case.task, case.source, self.store)
        cached = self.cache.find(case)
        if cached is not None:
            yield MeasuredCase(outcome=cached)
            return
        parts = self._measure_parts(case, progress)
        with self.engine.measure(case, progress, parts=parts) as opened:
            check_data()
            self.cache.check_model(case.alias, opened.outcome.identity)
            outcome = self._keep_samples(case, opened.outcome, opened.samples)
            if opened.samples is None or outcome.samples_file is not None:  # else it could not be judged again
                self.cache.keep(case, outcome)
            yield MeasuredCase(outcome=outcome, samples=opened.samples, predicted=opened.predicted)

    def _measure_parts(self, case: Case, progress: Progress) -> int:
        """Measure the parts of a case that this shard has; return how many there are in all."""
        numbers = () if self.shard is None else self._cut().parts.get(case.id, ())
        if not numbers:
            return 1
        of = count_parts(case, self.plan.models[case.alias], self.options.split_texts, self._cut().of)
        for number in numbers:
            self.engine.measure_part(case, Part(number=number, of=of), progress)
        return of

    def lies_elsewhere(self, elsewhere: Elsewhere) -> None:
        """Note that cases are measured on other machines, which do not have code beside ours, such as a conftest's."""
        self.elsewhere = elsewhere
        self.cache = OutcomeCache(self.plan.models, self.options.device, self.store, lambda: NO_CODE_BESIDE, elsewhere)

    def give(self, case_id: str, result: ActorResult | Failed) -> None:
        """Add the result of another machine, for `measure` to return."""
        self._results[case_id] = result
        self._notes |= dict.fromkeys(result.notes)

    def _take(self, case: Case, result: ActorResult | Failed) -> MeasuredCase:
        """Return the result of another machine, and write its files to the store.

        Raises:
            ModelError: it could not be measured, or something of it is missing.
        """
        if isinstance(result, Failed):
            raise ModelError(result.error)
        assert result.outcome is not None  # a part of a case is none
        outcome, file = result.outcome, result.outcome.samples_file
        self.cache.check_model(case.alias, outcome.identity)
        for name, content in result.files.items():
            take(self.store.folder, name, content, join_results)
        self._results[case.id] = replace(result, files={})  # they are written; a plug-in may run the case's test again
        if file is not None and self.store.read_samples(file) is None:
            raise ModelError(f"its samples did not come back whole from where it was measured: {file}")
        # Another machine is none that was asked.
        if self.elsewhere is not None and result.computes in self.elsewhere.per_machine:
            self.cache.find(case)  # which works out the key
            self.cache.keep(case, outcome)
        return MeasuredCase(outcome=outcome, shown=result.shown)

    def reference_samples(self, case: Case) -> Samples | None:
        """Return the samples by which examples of a case are chosen; None where there are none, or not these."""
        try:
            reference = None if self.options.baseline == "off" else self._find_reference(case)
            return None if reference is None else self.baselines.load_samples(reference)
        except BaselineError:  # `compare` says so
            return None

    def _keep_samples(self, case: Case, outcome: Outcome, samples: Samples | None) -> Outcome:
        if samples is None:
            return outcome
        file = self.store.write_samples(outcome.identity.fingerprint, slug(case.key, also="@"), encode_samples(samples))
        return replace(outcome, samples_file=file)

    def compare(self, case: Case, measured: MeasuredCase) -> Comparison:
        """Return what a measured case is judged by: what is expected, the samples of both, or an earlier verdict.

        Raises:
            BaselineError: the samples of the baseline, or of its anchor, are not those recorded with it.
        """
        reference = None if self.options.baseline == "off" else self._find_reference(case)
        comparison = Comparison(reference=reference, env=self.env)
        if reference is None:
            return comparison
        try:
            for entry in filter(None, (reference, reference.anchor)):
                self.baselines.check_samples(entry)
        except BaselineError as error:
            if self.options.baseline == "update":  # which is what writes them anew
                return replace(comparison, paired=str(error))
            raise
        key = verdict_key(case, measured.outcome, comparison)
        verdict = self.cache.recall(Verdict, key)
        if verdict is not None and verdict.word == "pass":
            return replace(comparison, key=key, verdict=verdict)
        samples, anchor = self.baselines.load_samples(reference), reference.anchor
        own_samples = measured.samples or self.cache.samples(measured.outcome)
        return replace(
            comparison,
            key=key,
            verdict=verdict,
            paired=pair_known(own_samples, samples),
            anchored=None if anchor is None else pair_known(own_samples, self.baselines.load_samples(anchor)),
            slices=slice_known(own_samples, samples, case.slices),
            shown=self._show(measured, own_samples, reference, samples),
        )

    def _show(
        self, measured: MeasuredCase, own_samples: Samples | None, reference: Reference, samples: Samples | None
    ) -> Shown | None:
        """Return the samples that changed most, with the texts that are known of them."""
        if own_samples is None or samples is None:
            return None
        key = examples_key(measured.outcome, reference)
        if measured.shown is not None:
            self.cache.remember(key, measured.shown)
            return measured.shown
        cached = self.cache.recall(Shown, key) if measured.predicted is None else None
        shown = cached or show(own_samples, samples, measured.predicted)
        if shown is not None and measured.predicted is not None:
            self.cache.remember(key, shown)
        return shown

    def read_texts(
        self, case: Case, measured: MeasuredCase, comparison: Comparison, verdict: Verdict | None
    ) -> Comparison:
        """Return the comparison with the texts of its samples, of a case that was measured before and does not pass."""
        shown, reference, outcome = comparison.shown, comparison.reference, measured.outcome
        if shown is None or shown.note != TEXTS_NOT_READ or reference is None or self.elsewhere is not None:
            return comparison
        if verdict is None or verdict.word == "pass":
            return comparison
        own_samples, samples = self.cache.samples(outcome), self.baselines.load_samples(reference)
        if own_samples is None or samples is None:
            return comparison
        shown = self.show_again(case, outcome.measurement, own_samples, samples) or shown
        self.cache.remember(examples_key(outcome, reference), shown)
        return replace(comparison, shown=shown)

    def show_again(self, case: Case, measurement: Measurement, own_samples: Samples, samples: Samples) -> Shown | None:
        """Return the samples that changed most with their texts, for which the data is read again.

        None where it is another now, cannot be read or is too large for that: a verdict stands without texts.
        """
        with suppress(Exception):
            load = find_workload(case, statistics_folder())
            if load is None or (load.texts <= MAX_TEXTS and load.characters <= MAX_CHARACTERS):
                with reopen(case, measurement.data_sha256, self.store) as strata:
                    return show(own_samples, samples, strata) if strata else None
        return None

    def _find_reference(self, case: Case) -> Reference | None:
        """Return what a case is judged by: of an entry that gives way to another, its anchor alone, which stays."""
        mode = self.options.baseline
        if mode in ("record", "update") and not self.baselines.has_own(case.alias, case.key):
            return None
        reference = self.baselines.find(self.options.against or case.alias, case.key)
        return (reference.anchor or reference) if mode == "update" and reference is not None else reference

    def judge(self, case: Case, outcome: Outcome, comparison: Comparison) -> Verdict | None:
        """Decide about a measured case, as the baseline mode has it; None when nothing is judged."""
        mode = self.options.baseline
        if mode == "off":
            return None
        verdict = judge(case, outcome, comparison)
        if comparison.key is not None and comparison.verdict is None:
            self.cache.remember(comparison.key, verdict)
        if mode == "update":
            replaced = None if comparison.reference is None else self.baselines.find(case.alias, case.key)
            return _accept(outcome, replaced, verdict)
        if verdict.word != "missing":
            return verdict
        if mode == "record":
            return _accept(outcome, None, verdict)
        return Verdict(word="missing", reason=self._how_to_record(case, outcome.measurement))

    def take_shard(self, case_ids: Iterable[str]) -> frozenset[str]:
        """Return the ids of this shard's cases, of all that were selected for the run."""
        self._whole = tuple(dict.fromkeys(case_ids))
        self.store.agree(WHOLE_RUN, lambda: "\n".join(self._whole))
        return frozenset(self._cut().cases)

    def _cut(self) -> Shard:
        """Return the shard with its cases; the process that owns the run may have heard of its own cases alone."""
        assert self.shard is not None
        if not self.shard.plan:
            self._whole = self._whole or tuple(self.store.agree(WHOLE_RUN, str).splitlines())
            self.shard = cut(self.shard, self.plan, self._whole, self.options)
        return self.shard

    def expect(self, case_ids: Iterable[str]) -> tuple[str, ...]:
        """Note the cases that were collected, and return them: each must be reported."""
        self._expected = tuple(dict.fromkeys(id_ for id_ in case_ids if id_ in self._cases))
        return self._expected

    def add(self, record: Record, notes: Iterable[str] = ()) -> None:
        """Add the record of a case, and its process's notes for the end of the run."""
        self._records[record.case] = record
        self._notes |= dict.fromkeys(notes)

    def add_crash(self, case_id: str, error: str) -> None:
        """Add an error for a case whose worker died; a record that it sent before stays."""
        if case_id in self._cases and case_id not in self._records:
            self._records[case_id] = make_record(self._cases[case_id], None, None, error)

    def stop(self, reason: str) -> None:
        """Note what ended the run before all cases were measured."""
        self._stopped = reason

    @property
    def warnings(self) -> Iterator[str]:
        """Notes for the user before anything is measured."""
        installed = untried_mteb()
        if installed is not None:
            yield f"mteb {installed} is newer than what was tried, {', '.join(TESTED_VERSIONS)}"
        limited = [case for case in self.plan.cases if case.limit is not None]
        if self.options.baseline != "check" or not limited:
            return
        with suppress(BaselineError):  # the case says so
            case_ids = [case.id for case in limited if self._find_reference(case) is None]
            if case_ids:
                yield f"no baseline with that limit, so nothing to judge by, for {some(case_ids)}"

    def records(self) -> tuple[Record, ...]:
        """Return a record of every case collected, in the order of the plan; unreported ones are not measured."""
        records = []
        for case in self.plan.cases:
            if case.id in self._records:
                records.append(self._records[case.id])
            elif case.id in self._expected or case.id in self._whole:
                record = make_record(case, None, None, None)
                waits = self.shard is not None or self._stopped is None
                records.append(record if waits else replace(record, reason=self._stopped))
        return tuple(replace(record, command=self._how_to_repeat(self._cases[record.case])) for record in records)

    def write_so_far(self) -> None:
        """Write the run record so far, in case the run is killed; so seldom that it takes no time."""
        begun = time.monotonic()
        if begun >= self._next_write:
            self._write_run(self._run(self.records(), ()))
            self._next_write = begun + max(WRITE_INTERVAL_S, WRITE_TIME_RATIO * (time.monotonic() - begun))

    def _run(self, records: tuple[Record, ...], suites: tuple[SuiteVerdict, ...]) -> Run:
        return Run(
            suite=self.plan.suite,
            started=self.started.isoformat(timespec="seconds"),
            environment=self.env | ({PLUGINS: hashed} if (hashed := self._plugins()) else {}),
            commit=self.commit,
            records=records,
            suites=suites,
            shard=None if self.shard is None else self._cut(),
        )

    def _write_run(self, run: Run) -> list[str]:
        if run.records:
            self.store.write_run(self.started.strftime("%Y%m%dT%H%M%S.%fZ"), flatten(run))
        return []

    def finish(self) -> Finished:
        """Write the run record, then baselines and reports; each is written even if another fails."""
        records = self._refuse_others(self.records())
        if self.shard is not None:
            return self._finish_shard(records)
        run = self._run(records, self._judge_models(records))
        notes: list[str] = []
        code = exit_code(records, run.suites, self.options.inconclusive)
        writers: list[Callable[[Run], list[str]]] = [self._write_run, self._write_baselines]
        writers += [partial(self._write_report, target) for target in self.targets]
        for write in writers:
            try:
                notes += write(run)
            except (TouchstoneError, OSError) as error:
                notes.append(str(error))
                code = 1
        messages = {**self._notes, **dict.fromkeys(self.store.notes)}
        self.store.leave()
        notes += [*messages, *self._what_moved(records), *self._how_to_examine(records), *self.plan.omissions]
        return Finished(run=run, notes=tuple(notes), exit_code=code)

    def _finish_shard(self, records: tuple[Record, ...]) -> Finished:
        """Write what a shard measured, and decide nothing."""
        run, mine = self._run(records, ()), [record for record in records if record.case in self._expected]
        self._write_run(run)
        measured = sum(record.score is not None and record.error is None for record in mine)
        waiting = sum(record.outcome == "not measured" and record.reason is not None for record in mine)
        messages = {**self._notes, **dict.fromkeys(self.store.notes)}
        self.store.leave()
        notes = [*messages, *self._how_to_examine(mine), *self.plan.omissions]
        command = shlex.join(["touchstone", "merge", str(self.store.folder)])
        notes.append(
            f"shard {self.shard}: {measured} of its {count(len(mine), 'case')} measured, of {len(records)} in all; "
            f"nothing is decided until all shards are there: {command}"
        )
        lost_some = self.store.trouble is not None
        return Finished(run=run, notes=tuple(notes), exit_code=1 if lost_some or measured + waiting < len(mine) else 0)

    def _refuse_others(self, records: tuple[Record, ...]) -> tuple[Record, ...]:
        """Replace each number of another model or computation by an error.

        Processes of one run may have opened other files under one alias; the first that reported counts. One process
        may have found out that what another one took from the cache is of another computation.
        """
        first = {alias: fingerprint for r in reversed(self._records.values()) for alias, fingerprint in r.models}
        checked = []
        for record in records:
            error = None
            if changed := [alias for alias, fingerprint in record.models if first[alias] != fingerprint]:
                error = others_than_before(changed[0])
            elif any(map(self.store.has_forgotten, record.known_before)):
                error = OF_ANOTHER_COMPUTATION
            if error is not None:
                refused = make_record(self._cases[record.case], None, None, error)
                record = replace(refused, command=record.command)  # noqa: PLW2901
            checked.append(record)
        return tuple(checked)

    def _judge_models(self, records: tuple[Record, ...]) -> tuple[SuiteVerdict, ...]:
        key = suites_key(records)
        suites = self.cache.recall(Suites, key)
        if suites is None:
            suites = Suites(suites=judge_models(records))
            self.cache.remember(key, suites)
        return suites.suites

    def _write_baselines(self, run: Run) -> list[str]:
        return write_baselines(self.options.baseline, run, self.baselines, self.store)

    def _write_report(self, target: Target, run: Run) -> list[str]:
        pairs = partial(find_pair, stores=[self.store.folder], baselines=self.baselines)
        return list(write_report(target, run, self.store.folder, pairs))

    def _how_to_repeat(self, case: Case) -> str | None:
        """Return the command that runs and judges this case alone, at the same level; None where none can name it."""
        against = self.options.against
        if self._is_of_a_program():
            return None
        words = self._words(case, self.plan.models[case.alias].text)
        return shlex.join([*words, "--against", against] if against else words)

    def _is_of_a_program(self) -> bool:
        """Return True if a program handed over the model or made the suite, so that no command can name them."""
        return bool(self.options.objects or self.options.inline_suites)

    def _words(self, case: Case, model: str) -> list[str]:
        """Return how a case is run alone; suites without its model are left out: its name would put it into them."""
        words, without = self.options.command, {("--suite", name) for name in self.plan.without.get(case.alias, ())}
        dropped = {at + step for at, two in enumerate(pairwise(words)) if two in without for step in (0, 1)}
        remaining = [word for at, word in enumerate(words) if at not in dropped]
        return [*remaining, "--model", model, "--task", case.task.name]

    def _what_moved(self, records: Iterable[Record]) -> Iterator[str]:
        """Return how vectors moved, by canaries beside the baselines, for each model that differs from its baseline."""
        for alias in dict.fromkeys(
            r.alias for r in records if r.rule in SAME_VECTOR_RULES and r.verdict not in ("pass", "improved")
        ):
            file = self.options.baselines / CANARIES / f"{self.options.against or alias}.json"
            if file.is_file():
                try:
                    check = hold_or_check(self.plan.models[alias].text, file, self.options, None)
                    yield f"{alias}: what moved since {file.name} of {CANARIES}: {check.reason}"
                except TouchstoneError as error:
                    yield f"{alias}: {error}"

    def _how_to_examine(self, records: Iterable[Record]) -> Iterator[str]:
        """Return the command that examines each model that could not be opened."""
        options = [word for file in self.options.models_files for word in ("--models", str(file))]
        options += [] if self.options.device == "auto" else ["--device", self.options.device]
        models = {} if self.options.objects else self.plan.models
        records = [r for r in records if r.alias in models]
        # Of a server there is no more to see than its answer.
        records = [r for r in records if not kind_of(models[r.alias]).served]
        for alias in dict.fromkeys(r.alias for r in records if models[r.alias].is_blamed(r.error or "")):
            command = shlex.join(["touchstone", "doctor", models[alias].text, *options])
            yield f"{alias}: look at what was found with: {command}"

    def _how_to_record(self, case: Case, measurement: Measurement) -> str:
        """Return what is missing and the command that records it, or what to do where none could."""
        against = self.options.against
        alias, text, meaning = against or case.alias, against or self.plan.models[case.alias].text, ""
        limited = case.limit is not None and self.baselines.find(alias, case.task.name) is not None
        problem = f"no baseline for {alias}:{case.key}" + (", only one without a limit" if limited else "")
        if case.task.folder is not None:  # whose name need not be the task's of a suite
            other = self.baselines.find_other_name(alias, case.task.name, measurement) or ""
            name = other.partition("?")[0]
            same = f'; there is "{other}", which seems to be the same task: name = "{name}" under tasks.custom'
            problem += same if other else ""
        if self._is_of_a_program():
            return f'{problem}; measure {alias} once with baseline="record"'
        if against is not None and against not in self.plan.named:
            if all(entry.baseline.fingerprint is None for entry in self.baselines.entries(against).values()):
                # Imported numbers alone: what is measured now is not written beside them.
                return f"{problem}; {'leave the limit out' if limited else 'import one, or leave the case out'}"
            text, meaning = f"MODEL={against}", f", where MODEL is the folder or hub id of {against}"
        command = shlex.join([*self._words(case, text), "--baseline", "record"])
        others = [] if against else self.baselines.aliases_with(case.task.name)
        other = f"; judge it by another model's with --against {others[0]}, or" if others else ";"
        return f"{problem}{other} record one with: {command}{meaning}"


def open_session(options: Options, plugins: Callable[[], str] = str) -> Session:
    """Find the cases of a run and get ready for them.

    Raises:
        TouchstoneError: something in the options, suites, models or baselines is wrong.
    """
    return Session(options, find_cases(options), plugins)


def _accept(outcome: Outcome, replaced: Reference | None, verdict: Verdict) -> Verdict:
    """Return the verdict with the new score and the replaced one as its reason; a missing baseline passes."""
    score = outcome.measurement.score
    change = f"recorded {points(score)}"
    if replaced is not None and set(outcome.measurement.subsets) <= set(replaced.baseline.subsets):
        before = expected_score(outcome, replaced.baseline)
        change += f", was {points(before)} (Δ {signed_points(score - before)})"
    if verdict.word == "missing":
        return Verdict(word="pass", reason=change)
    return replace(verdict, reason=change if verdict.ok else f"{change}; {verdict.reason}")
