"""Evaluate a model while it is trained, and promote it to a baseline afterwards."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Unpack

from touchstone.baselines.files import Baselines, take_records
from touchstone.errors import ConfigError
from touchstone.library.arguments import (
    GATE_OPTIONS,
    MEASURE_OPTIONS,
    GateOptions,
    MeasureOptions,
    Model,
    Suite,
    check_names,
    check_tasks,
    parse_options,
)
from touchstone.library.comparing import judge, measure
from touchstone.library.result import Result
from touchstone.records.baselines import BaselineFile
from touchstone.records.names import baseline_key
from touchstone.records.runs import SuiteWord
from touchstone.report.summary import why
from touchstone.store.folder import Store

if TYPE_CHECKING:
    from sentence_transformers.base.evaluation import BaseEvaluator
else:
    BaseEvaluator = object

__all__ = ["Promotion", "TouchstoneEvaluator", "promote"]

POINTS = 100
UNKNOWN_MEAN = float("-inf")
logger = logging.getLogger(__name__)


class TouchstoneEvaluator(BaseEvaluator):
    """Evaluator of sentence-transformers: measures the model as it is now, and judges it by a reference.

    Each call returns a dictionary of metrics in points: ``mean_delta``, the mean difference to the reference over all
    cases, paired sample by sample; ``mean_score``; ``TASK_METRIC`` and ``TASK_delta`` for each task; and two counts,
    ``regressed`` and ``errors``. ``mean_delta`` is the primary metric, and greater is better. It is minus infinity
    where a case could not be measured or compared, so that such a checkpoint is never the best.

    Args:
        tasks: as of `touchstone.measure`.
        against: the reference, as of `touchstone.measure`; a model is measured at once, before the training.
        name: the prefix of each metric, before an underscore.
        alias: of the model, in reports.
        options: as of `touchstone.measure`.

    Attributes:
        results: the `touchstone.Result` of each call.

    Raises:
        TouchstoneError: a task, the reference or an option is wrong.
    """

    def __new__(cls, *_arguments: Any, **_options: Any) -> "TouchstoneEvaluator":
        """Return an object of a class that is also the library's evaluator, which is imported here at the latest."""
        from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator

        bases = (cls, SentenceEvaluator)
        combined = cls if issubclass(*bases) else type(cls.__name__, bases, {"__module__": cls.__module__})
        return object.__new__(combined)

    def __init__(
        self,
        tasks: str | Path | Suite | Sequence[str | Path],
        *,
        against: object,
        name: str = "touchstone",
        alias: str = "model",
        **options: Unpack[MeasureOptions],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's
        check_names(options, MEASURE_OPTIONS, TouchstoneEvaluator.__init__)
        check_tasks(tasks)
        if isinstance(against, str) and not against.endswith(".json"):
            Baselines(parse_options(options).baselines).require_alias(against, "against")
        elif not isinstance(against, str | Path | Result):
            reference = against if isinstance(against, Model) else Model(against, "reference")
            unjudged: Any = {**options, "baseline": "off"}
            against = measure(reference, tasks, **unjudged)
        self.results: list[Result] = []
        self.name = name
        self.greater_is_better = True
        self.primary_metric = "mean_delta"
        self._tasks = tasks
        self._alias = alias
        self._against = against
        self._options = options

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Measure a model and return its metrics, in points.

        Args:
            model: in its present state.
            output_path: of the trainer; nothing is written there, as the store has everything.
            epoch: of the training, for the model's card.
            steps: likewise.

        Raises:
            TouchstoneError: something other than a single case is wrong.
        """
        del output_path
        result = measure(Model(model, self._alias), self._tasks, against=self._against, **self._options)
        self.results.append(result)
        for record in result.records:
            if record.delta is None:
                logger.warning("%s has no difference: %s", record.case, why(record))
        metrics = self.prefix_name_to_metrics(_count(result), self.name)
        if hasattr(model, "model_card_data"):
            self.store_metrics_in_model_card_data(model, metrics, epoch, steps)
        return metrics


def _count(result: Result) -> dict[str, float]:
    """Return the metrics of a run, in points."""
    records = result.records
    deltas = [record.delta for record in records if record.delta is not None and record.error is None]
    scores = [record.score for record in records if record.score is not None]
    metrics = {
        "mean_delta": POINTS * fmean(deltas) if len(deltas) == len(records) else UNKNOWN_MEAN,
        "mean_score": POINTS * fmean(scores) if len(scores) == len(records) else UNKNOWN_MEAN,
        "regressed": float(sum(record.verdict in ("regressed", "drifted") for record in records)),
        "errors": float(len(records) - len(scores)),
    }
    for record in records:
        for name, value in ((record.metric, record.score), ("delta", record.delta)):
            if value is not None:
                metrics[f"{record.task}_{name}"] = POINTS * value
    return metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """The promotion of a candidate, or its refusal, with the verdict and a sentence on the reason.

    ``promoted`` is True if the candidate's scores are now the baseline, ``verdict`` is None if nothing was judged, and
    ``written`` is the file that changed, if any.
    """

    promoted: bool
    verdict: SuiteWord | None
    reason: str
    result: Result
    written: Path | None = None


def promote(candidate: Result, released: str, **options: Unpack[GateOptions]) -> Promotion:
    """Write a candidate's scores as the baseline of the released model, if it passes by that baseline, else nothing.

    It passes with the verdict ``PASS``, no suspect case (unless ``inconclusive="pass"``), and every entry of the
    baseline measured.

    Args:
        candidate: what `touchstone.measure` gave; its samples are in its store.
        released: the alias of the baseline, which keeps its anchors.
        options: as of `touchstone.judge`.

    Returns:
        What was done, and why.

    Raises:
        BaselineError: there is no such baseline, it is damaged, or nothing can be written.
        ConfigError: an option is wrong, or the candidate is no run of one model.
    """
    check_names(options, GATE_OPTIONS, promote)
    if not isinstance(candidate, Result):
        raise ConfigError(f"candidate is a {type(candidate).__name__}; expected what touchstone.measure gives")
    baselines = Baselines(parse_options(options).baselines)
    baselines.require_alias(released, "released")
    store = Store(candidate.store)
    with baselines.writing():  # locked, so that no other process changes the baseline after the verdict
        result = judge(candidate, released, **options)
        word, reason = _decide(result, set(baselines.entries(released)), released)
        if word != "PASS":
            return Promotion(promoted=False, verdict=result.verdict, reason=f"not promoted: {reason}", result=result)
        entries, samples = take_records(result.records, result.run.environment, store)
        first = result.records[0]
        new = BaselineFile(model=first.model or first.alias, revision=first.revision, tasks=entries)
        written = baselines.commit(released, baselines.merge(released, new, replace_recorded=True), samples)
    what = f"wrote {written}: review and commit it" if written else "the baseline is the same already"
    return Promotion(
        promoted=True, verdict="PASS", reason=f"promoted to {released}: {what}", result=result, written=written
    )


def _decide(result: Result, expected: set[str], released: str) -> tuple[str, str]:
    """Return the verdict of a promotion, and its reason."""
    suites = "; ".join(f"{alias} {suite.verdict}: {suite.reason}" for alias, suite in result.suites.items())
    if result.verdict != "PASS":
        return result.verdict or "INCOMPLETE", suites or "nothing of it was measured and judged"
    if absent := sorted(expected - {baseline_key(record.task, record.limit) for record in result.records}):
        return "INCOMPLETE", f"{', '.join(absent)} of the baseline of {released} was not measured"
    if result.exit_code != 0:
        suspect = [record.case for record in result.records if record.suspect]
        return "INCONCLUSIVE", f"suspect: {', '.join(suspect)}" if suspect else suites
    return "PASS", suites
