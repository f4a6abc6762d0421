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
from touchstone.measuring.case import Progress, join_results
from touchstone.measuring.engines.local import LocalEngine
from touchstone.measuring.engines.ray import Failed, Given
from touchstone.measuring.parts import Part
from touchstone.records.baselines import Reference
from touchstone.records.cases import Case
from touchstone.records.examples import Shown
from touchstone.records.flat import flatten
from touchstone.records.names import slug
from touchstone.records.outcomes import OF_ANOTHER_COMPUTATION, Outcome
from touchstone.records.runs import Record, Run, Shard, SuiteVerdict, make_record
from touchstone.records.samples import Samples, encode_samples
from touchstone.records.verdicts import Verdict
from touchstone.report.formats import Target, find_target
from touchstone.seams import TESTED_VERSIONS, untried_mteb
from touchstone.session.compare import pair_known, slice_known
from touchstone.session.examples import show
from touchstone.session.plan import Plan, find_cases
from touchstone.session.reports import find_pair, write_baselines, write_report
from touchstone.session.reuse import (
    PLUGINS,
    Elsewhere,
    Known,
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

# The record of a run that goes on is written once in so many seconds, and takes one part in so many of the time.
EVERY, SHARE = 1.0, 20.0
# In the place of the hash of the code beside ours, where none is loaded.
NO_CODE_BESIDE = "none"
# What the processes of a run call the list of the cases that were selected, of which a shard has some.
WHOLE_RUN = "cases of the whole run"
# The folder beside baselines in which a model may have canaries, and the rules under which these say what moved.
CANARIES, SAME = "canaries", ("reproduce", "equivalent")


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
        self.known = Known(plan.models, options.device, self.store, self._plugins)
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
        self._given: dict[str, Given | Failed] = {}
        self._stopped: str | None = None
        self._next_write = 0.0

    @contextmanager
    def measure(self, case: Case, progress: Progress) -> Iterator[MeasuredCase]:
        """Run one case, or take its earlier outcome if nothing that decides it has changed.

        The data of a case that is run stays open as long as the context.

        Raises:
            TouchstoneError: it could not be measured.
        """
        if case.id in self._given:
            yield self._take(case, self._given[case.id])
            return
        if self.elsewhere is not None and (known := self.known.find(case)) is not None:
            yield MeasuredCase(outcome=known)  # its data need not be on this machine
            return
        bring_missing(case.task, case.source, self.store)
        check_data = watch_data(case.task, case.source, self.store)
        known = self.known.find(case)
        if known is not None:
            yield MeasuredCase(outcome=known)
            return
        parts = self._measure_parts(case, progress)
        with self.engine.measure(case, progress, parts=parts) as opened:
            check_data()
            self.known.check_model(case.alias, opened.outcome.identity)
            outcome = self._keep_samples(case, opened.outcome, opened.samples)
            if opened.samples is None or outcome.samples_file is not None:  # else it could not be judged again
                self.known.keep(case, outcome)
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
        """Note that cases are measured on other machines; code beside ours, such as a conftest's, is not there."""
        self.elsewhere = elsewhere
        self.known = Known(self.plan.models, self.options.device, self.store, lambda: NO_CODE_BESIDE, elsewhere)

    def give(self, case_id: str, given: Given | Failed) -> None:
        """Hand over what another machine measured, or why it could not; `measure` takes it from there."""
        self._given[case_id] = given
        self._notes |= dict.fromkeys(given.notes)

    def _take(self, case: Case, given: Given | Failed) -> MeasuredCase:
        """Take in what another machine measured.

        Raises:
            ModelError: it could not be measured, or something of it is missing.
        """
        if isinstance(given, Failed):
            raise ModelError(given.error)
        assert given.outcome is not None  # a part of a case is none
        outcome, file = given.outcome, given.outcome.samples_file
        self.known.check_model(case.alias, outcome.identity)
        for name, content in given.files.items():
            take(self.store.folder, name, content, join_results)
        self._given[case.id] = replace(given, files={})  # they are written; a plug-in may run the case's test again
        if file is not None and self.store.read_samples(file) is None:
            raise ModelError(f"its samples did not come back whole from where it was measured: {file}")
        if self.elsewhere is not None and given.computes in self.elsewhere.each:  # else nobody asked that machine
            self.known.find(case)  # which works out the key
            self.known.keep(case, outcome)
        return MeasuredCase(outcome=outcome, shown=given.shown)

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
            for one in filter(None, (reference, reference.anchor)):
                self.baselines.check_samples(one)
        except BaselineError as error:
            if self.options.baseline == "update":  # which is what writes them anew
                return replace(comparison, paired=str(error))
            raise
        key = verdict_key(case, measured.outcome, comparison)
        verdict = self.known.recall(Verdict, key)
        if verdict is not None and verdict.word == "pass":
            return replace(comparison, key=key, verdict=verdict)
        samples, anchor = self.baselines.load_samples(reference), reference.anchor
        own = measured.samples or self.known.samples(measured.outcome)
        return replace(
            comparison,
            key=key,
            verdict=verdict,
            paired=pair_known(own, samples),
            anchored=None if anchor is None else pair_known(own, self.baselines.load_samples(anchor)),
            slices=slice_known(own, samples, case.slices),
            shown=self._show(measured, own, reference, samples),
        )

    def _show(
        self, measured: MeasuredCase, own: Samples | None, reference: Reference, samples: Samples | None
    ) -> Shown | None:
        """Return the samples that changed most, with the texts that are known of them."""
        if own is None or samples is None:
            return None
        key = examples_key(measured.outcome, reference)
        if measured.shown is not None:
            self.known.remember(key, measured.shown)
            return measured.shown
        known = self.known.recall(Shown, key) if measured.predicted is None else None
        shown = known or show(own, samples, measured.predicted)
        if shown is not None and measured.predicted is not None:
            self.known.remember(key, shown)
        return shown

    def _find_reference(self, case: Case) -> Reference | None:
        """Return what a case is judged by: of an entry that gives way to another, its anchor alone, which stays."""
        mode = self.options.baseline
        if mode in ("record", "update") and not self.baselines.has_own(case.alias, case.key):
            return None
        found = self.baselines.find(self.options.against or case.alias, case.key)
        return found.anchor if mode == "update" and found is not None and found.anchor is not None else found

    def judge(self, case: Case, outcome: Outcome, comparison: Comparison) -> Verdict | None:
        """Decide about a measured case, as the baseline mode has it; None when nothing is judged."""
        mode = self.options.baseline
        if mode == "off":
            return None
        verdict = judge(case, outcome, comparison)
        if comparison.key is not None and comparison.verdict is None:
            self.known.remember(comparison.key, verdict)
        if mode == "update":
            replaced = None if comparison.reference is None else self.baselines.find(case.alias, case.key)
            return _accept(outcome, replaced, verdict)
        if verdict.word != "missing":
            return verdict
        if mode == "record":
            return _accept(outcome, None, verdict)
        return Verdict(word="missing", reason=self._how_to_record(case))

    def take_shard(self, case_ids: Iterable[str]) -> frozenset[str]:
        """Return which of the cases that were selected this shard has; all are of the run that it is a part of."""
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
        """Take in what became of a case, and what its process has to tell at the end of the run."""
        self._records[record.case] = record
        self._notes |= dict.fromkeys(notes)

    def add_crash(self, case_id: str, error: str) -> None:
        """Take in a case whose worker went away; what it reported before stays."""
        if case_id in self._cases and case_id not in self._records:
            self._records[case_id] = make_record(self._cases[case_id], None, None, error)

    def stop(self, reason: str) -> None:
        """Note what ended the run before all cases were measured."""
        self._stopped = reason

    @property
    def warnings(self) -> Iterator[str]:
        """What is to be known before anything is measured."""
        installed = untried_mteb()
        if installed is not None:
            yield f"mteb {installed} is newer than what was tried, {', '.join(TESTED_VERSIONS)}"
        limited = [case for case in self.plan.cases if case.limit is not None]
        if self.options.baseline != "check" or not limited:
            return
        with suppress(BaselineError):  # the case says so
            missing = [case.id for case in limited if self._find_reference(case) is None]
            if missing:
                yield f"no baseline with that limit, so nothing to judge by, for {some(missing)}"

    def records(self) -> tuple[Record, ...]:
        """Return a record of every case collected, in the order of the plan; unreported ones are not measured."""
        found = []
        for case in self.plan.cases:
            if case.id in self._records:
                found.append(self._records[case.id])
            elif case.id in self._expected or case.id in self._whole:
                record = make_record(case, None, None, None)
                waits = self.shard is not None or self._stopped is None
                found.append(record if waits else replace(record, reason=self._stopped))
        return tuple(replace(record, command=self._how_to_repeat(self._cases[record.case])) for record in found)

    def write_so_far(self) -> None:
        """Write the run record as it is by now, for a run that is killed; so seldom that it takes no time."""
        begun = time.monotonic()
        if begun >= self._next_write:
            self._write_run(self._run(self.records(), ()))
            self._next_write = begun + max(EVERY, SHARE * (time.monotonic() - begun))

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
        """Write the run record, then baselines and reports; each whatever becomes of the others."""
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
        told = {**self._notes, **dict.fromkeys(self.store.notes)}
        self.store.leave()
        notes += [*told, *self._what_moved(records), *self._how_to_examine(records), *self.plan.omissions]
        return Finished(run=run, notes=tuple(notes), exit_code=code)

    def _finish_shard(self, records: tuple[Record, ...]) -> Finished:
        """Write what a shard measured, and decide nothing."""
        run, own = self._run(records, ()), [record for record in records if record.case in self._expected]
        self._write_run(run)
        done = sum(record.score is not None and record.error is None for record in own)
        waiting = sum(record.outcome == "not measured" and record.reason is not None for record in own)
        told = {**self._notes, **dict.fromkeys(self.store.notes)}
        self.store.leave()
        notes = [*told, *self._how_to_examine(own), *self.plan.omissions]
        notes.append(
            f"shard {self.shard}: {done} of its {count(len(own), 'case')} measured, of {len(records)} in all; nothing "
            f"is decided until all shards are there: {shlex.join(['touchstone', 'merge', str(self.store.folder)])}"
        )
        lost = self.store.trouble is not None
        return Finished(run=run, notes=tuple(notes), exit_code=1 if lost or done + waiting < len(own) else 0)

    def _refuse_others(self, records: tuple[Record, ...]) -> tuple[Record, ...]:
        """Put an error in the place of a number that is not one of the models that this run is about, as they are now.

        Processes of one run may have seen other files under one alias; the first that reported counts. What one took
        for known, another may have found out to be of another computation.
        """
        first = {alias: known for one in reversed(self._records.values()) for alias, known in one.models}
        found = []
        for record in records:
            error = None
            if other := [alias for alias, fingerprint in record.models if first[alias] != fingerprint]:
                error = others_than_before(other[0])
            elif any(map(self.store.has_forgotten, record.known_before)):
                error = OF_ANOTHER_COMPUTATION
            if error is not None:
                refused = make_record(self._cases[record.case], None, None, error)
                record = replace(refused, command=record.command)  # noqa: PLW2901
            found.append(record)
        return tuple(found)

    def _judge_models(self, records: tuple[Record, ...]) -> tuple[SuiteVerdict, ...]:
        key = suites_key(records)
        known = self.known.recall(Suites, key)
        if known is None:
            known = Suites(suites=judge_models(records))
            self.known.remember(key, known)
        return known.suites

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
        """Return whether a program handed over the model or made the suite, so that no command can name them."""
        return bool(self.options.objects or self.options.inline_suites)

    def _words(self, case: Case, model: str) -> list[str]:
        """Return how a case is run alone; suites without its model are left out: its name would put it into them."""
        words, others = self.options.command, {("--suite", name) for name in self.plan.without.get(case.alias, ())}
        dropped = {at + step for at, two in enumerate(pairwise(words)) if two in others for step in (0, 1)}
        kept = [word for at, word in enumerate(words) if at not in dropped]
        return [*kept, "--model", model, "--task", case.task.name]

    def _what_moved(self, records: Iterable[Record]) -> Iterator[str]:
        """Say whose vectors moved, of models that are not the same any more, by canaries beside the baselines."""
        for alias in dict.fromkeys(
            r.alias for r in records if r.rule in SAME and r.verdict not in ("pass", "improved")
        ):
            file = self.options.baselines / CANARIES / f"{self.options.against or alias}.json"
            if file.is_file():
                try:
                    held = hold_or_check(self.plan.models[alias].text, file, self.options, None)
                    yield f"{alias}: what moved since {file.name} of {CANARIES}: {held.reason}"
                except TouchstoneError as error:
                    yield f"{alias}: {error}"

    def _how_to_examine(self, records: Iterable[Record]) -> Iterator[str]:
        """Return the command that examines each model that could not be opened."""
        more = [word for file in self.options.models_files for word in ("--models", str(file))]
        more += [] if self.options.device == "auto" else ["--device", self.options.device]
        models = {} if self.options.objects else self.plan.models
        records = [r for r in records if r.alias in models]
        for alias in dict.fromkeys(r.alias for r in records if models[r.alias].is_blamed(r.error or "")):
            command = shlex.join(["touchstone", "doctor", models[alias].text, *more])
            yield f"{alias}: look at what was found with: {command}"

    def _how_to_record(self, case: Case) -> str:
        """Return what is missing and the command that records it, or what to do where none could."""
        against = self.options.against
        alias, text, where = against or case.alias, against or self.plan.models[case.alias].text, ""
        limited = case.limit is not None and self.baselines.find(alias, case.task.name) is not None
        missing = f"no baseline for {alias}:{case.key}" + (", only one without a limit" if limited else "")
        if self._is_of_a_program():
            return f'{missing}; measure {alias} once with baseline="record"'
        if against is not None and against not in self.plan.named:
            if all(one.baseline.fingerprint is None for one in self.baselines.entries(against).values()):
                # Imported numbers alone: what is measured now is not written beside them.
                return f"{missing}; {'leave the limit out' if limited else 'import one, or leave the case out'}"
            text, where = f"MODEL={against}", f", where MODEL is the folder or hub id of {against}"
        command = shlex.join([*self._words(case, text), "--baseline", "record"])
        return f"{missing}; record one with: {command}{where}"


def open_session(options: Options, plugins: Callable[[], str] = str) -> Session:
    """Find the cases of a run and get ready for them.

    Raises:
        TouchstoneError: something in the options, suites, models or baselines is wrong.
    """
    return Session(options, find_cases(options), plugins)


def _accept(outcome: Outcome, replaced: Reference | None, verdict: Verdict) -> Verdict:
    """Say what the score was that gives way to a new one; the verdict is what was decided, but that none is missed."""
    score = outcome.measurement.score
    change = f"recorded {points(score)}"
    if replaced is not None and set(outcome.measurement.subsets) <= set(replaced.baseline.subsets):
        was = expected_score(outcome, replaced.baseline)
        change += f", was {points(was)} (Δ {signed_points(score - was)})"
    if verdict.word == "missing":
        return Verdict(word="pass", reason=change)
    return replace(verdict, reason=change if verdict.ok else f"{change}; {verdict.reason}")
