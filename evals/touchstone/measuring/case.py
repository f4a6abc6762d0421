"""Measure one case: the only caller of `mteb.evaluate`."""

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, cast

from touchstone import seams
from touchstone.encoding.encoder import MtebEncoder, Sample
from touchstone.encoding.meter import Meter, Timed
from touchstone.encoding.reranker import MtebReranker
from touchstone.environment import describe_environment
from touchstone.errors import ModelError
from touchstone.measuring.capture import Capture
from touchstone.measuring.retrieval import searched_in_arrays
from touchstone.metrics import Undefined
from touchstone.models.base import MTEB_PREFIX, Computing, OpenModel, OpenReranker
from touchstone.models.searcher import MtebSearcher
from touchstone.models.weights.devices import computed_by
from touchstone.records.cases import Case
from touchstone.records.outcomes import Measurement, ModelIdentity, Outcome
from touchstone.records.rankings import FORMAT, Ranking, encode_rankings
from touchstone.records.samples import Samples, gather
from touchstone.store.folder import RANKINGS, Store
from touchstone.task_types.base import Predicted
from touchstone.task_types.registry import find_type, rescore
from touchstone.tasks.classes import class_errors
from touchstone.tasks.opening import OpenTask, open_task

if TYPE_CHECKING:
    from mteb.models import ModelMeta
    from mteb.results import TaskResult


Progress = Callable[[str], None]
# mteb rounds retrieval scores to five decimals.
RECOMPUTED_TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCase:
    """A measured case whose data is still open: the outcome, its samples, and what was predicted, by stratum.

    ``result`` is mteb's own, ``meta`` mteb's metadata of the model. ``rankings`` are what the model found, where it was
    to search. ``timed`` is what was computed in which time, and ``sample`` some of the texts encoded.
    """

    outcome: Outcome
    samples: Samples | None
    predicted: Mapping[str, Predicted]
    result: "TaskResult"
    meta: "ModelMeta"
    rankings: tuple[Ranking, ...] = ()
    timed: Timed = field(default_factory=Timed)
    sample: Sample = field(default_factory=Sample)


@contextmanager
def measure(case: Case, model: Computing, store: Store, progress: Progress) -> Iterator[OpenCase]:
    """Run one case; its data stays open as long as the context.

    Args:
        case: what to run.
        model: the loaded model, to be used again for the next case.
        store: keeps the result in mteb's layout.
        progress: told, in a few words, what is being done.

    Raises:
        TouchstoneError: it could not be measured; the reason is the user's to fix.
    """
    started = time.perf_counter()
    progress("reading data")
    with seams.columns_read_once(), open_task(case.task, case.source, store, limit=case.limit) as opened:
        loaded = time.perf_counter() - started
        measured = measure_opened(case, opened, model, progress)
        opened.check_unchanged()
        if case.limit is None:
            keep_result(measured.result, measured.meta, store)
        if measured.rankings:
            store.put(
                RANKINGS,
                rankings_key(case, opened, model.identity, model.device),
                partial(encode_rankings, measured.rankings),
            )
        outcome = measured.outcome
        yield replace(measured, outcome=replace(outcome, phases={"data": loaded, **outcome.phases}))


def measure_opened(case: Case, opened: OpenTask, model: Computing, progress: Progress) -> OpenCase:
    """Run one model on data that is loaded, and write no result.

    Raises:
        TouchstoneError: it could not be measured.
    """
    started = time.perf_counter()
    meter = Meter(progress)
    for_mteb = model.for_mteb(meter)
    try:
        kwargs = {"batch_size": model.batch_size, **model.encode_kwargs}
        with searched_in_arrays(opened.parts, model.searched_on if isinstance(model, OpenModel) else None):
            evaluated = evaluate(case, opened, _wrap(for_mteb, model), kwargs)
    finally:
        for_mteb.flush()
    for_mteb.check_spread()
    model.check_unchanged()
    outcome = Outcome(
        identity=model.identity,
        measurement=replace(
            evaluated.measurement,
            limit=case.limit,
            dataset_revision=opened.dataset_revision,
            data_sha256=opened.data_sha256,
            fingerprint=model.identity.fingerprint,
            settings=model.settings,
        ),
        device=model.device,
        phases={
            "rerank" if isinstance(model, OpenReranker) else "encode": for_mteb.seconds,
            "score": time.perf_counter() - started - for_mteb.seconds,
        },
        texts=for_mteb.texts,
        encoded=for_mteb.encoded,
        prompts=for_mteb.prompts,
    )
    return OpenCase(
        outcome=outcome,
        samples=evaluated.samples,
        predicted=evaluated.predicted,
        result=evaluated.result,
        meta=cast("ModelMeta", for_mteb.mteb_model_meta),
        rankings=evaluated.rankings,
        timed=meter.timed,
        sample=for_mteb.sample,
    )


@contextmanager
def reopen(case: Case, data_sha256: str | None, store: Store) -> Iterator[dict[str, Predicted]]:
    """Load the data of a case that was measured before, to read its texts; what was predicted is not known any more.

    Yields:
        By stratum; empty where the data is another now, or that of an aggregate or of a class of the user's.

    Raises:
        SourceError: the data is not there or cannot be read.
    """
    with open_task(case.task, case.source, store, limit=case.limit) as opened:
        is_same = data_sha256 is not None and opened.data_sha256 == data_sha256 and case.task.code is None
        strata = product(case.task.splits, case.task.subsets) if is_same and opened.parts == (opened.task,) else ()
        yield {
            f"{split}/{subset}": Predicted(
                task=opened.parts[0], split=split, subset=subset, metric=case.task.main_score,
                found=None, sampled=(), drawn=(),
            )
            for split, subset in strata
        }  # fmt: skip
        opened.check_unchanged()


def rankings_key(case: Case, opened: OpenTask, identity: ModelIdentity, device: str) -> dict[str, Any]:
    """Return everything that decides what a model finds in a case's task, for the store."""
    return {
        "format": FORMAT,
        "fingerprint": identity.fingerprint,
        **computed_by(device),
        "mteb": describe_environment().get("mteb"),
        "task": case.task.name,
        "type": case.task.type,
        "splits": list(case.task.splits),
        "subsets": list(case.task.subsets),
        "revision": opened.dataset_revision,
        "data": opened.data_sha256,
        "limit": case.limit,
    }


def _wrap(for_mteb: MtebEncoder | MtebReranker | MtebSearcher, model: Computing) -> Any:
    """Return what mteb is given: the model, or mteb's own that quantizes its vectors."""
    if not isinstance(model, OpenModel) or model.quantize is None:
        return for_mteb
    from mteb.models import CompressionWrapper
    from mteb.types import OutputDType

    name = for_mteb.mteb_model_meta
    encoder = CompressionWrapper(cast("Any", for_mteb), OutputDType(model.quantize.removeprefix(MTEB_PREFIX)))
    for_mteb.mteb_model_meta = name  # our name tells a derived model apart already
    return encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """What mteb made of a model, and what we make of the same predictions."""

    result: "TaskResult"
    measurement: Measurement
    samples: Samples | None
    predicted: Mapping[str, Predicted]
    rankings: tuple[Ranking, ...]


def evaluate(case: Case, opened: OpenTask, model: Any, encode_kwargs: dict[str, Any]) -> Evaluated:
    """Evaluate what mteb takes for a model on data that is loaded.

    Raises:
        TouchstoneError: there is no score to be had.
    """
    with class_errors(case.task, "evaluate"):
        captures = [Capture(part, is_custom=case.task.code is not None) for part in opened.parts]
        result = _evaluate(opened, model, encode_kwargs)
    if case.task.code is not None:  # its own revision says nothing of its data, and what is of one may be put together
        result.dataset_revision = str(opened.data_sha256)[:12]
    try:
        samples, predicted = _predictions(opened, captures)
        samples = samples if _bears_out(case, opened, samples) else None
        measurement = _measurement(case, result, samples)
    except Undefined as error:  # mteb has a number there, such as that without a positive pair
        hint = "" if case.limit is None else f"; --limit {case.limit} keeps too few samples, take more"
        raise ModelError(f"{case.task.main_score} has no value: {error}{hint}") from None
    return Evaluated(
        result=result,
        measurement=measurement,
        samples=samples,
        predicted=predicted,
        rankings=tuple(ranking for capture in captures for ranking in capture.rankings),
    )


def _evaluate(opened: OpenTask, model: Any, encode_kwargs: dict[str, Any]) -> "TaskResult":
    """Evaluate a task, or an aggregate's children and then their combination."""
    import mteb

    seams.check_seams()
    results = []
    for part in opened.parts:
        outcome = mteb.evaluate(
            model,
            part,
            cache=None,
            encode_kwargs=cast("Any", {"show_progress_bar": False, **encode_kwargs}),
            prediction_folder=Path("captured, not written"),
            show_progress_bar=False,
            co2_tracker=False,
        )
        results += outcome.task_results
    if len(opened.parts) == 1 and opened.parts[0] is opened.task:
        return results[0]
    combined: TaskResult = opened.task.combine_task_results(results)  # type: ignore[attr-defined]
    return combined


def _predictions(opened: OpenTask, captures: list[Capture]) -> tuple[Samples | None, dict[str, Predicted]]:
    """Make the samples of a case, and return what was predicted by their strata.

    Those of an aggregate's children lie under the children's names.
    """
    pairs = [(capture, None if capture.task is opened.task else capture.task.metadata.name) for capture in captures]
    parts = [capture.samples(name) for capture, name in pairs]
    samples = [part for part in parts if part is not None]
    predicted = {stratum: entry for capture, name in pairs for stratum, entry in capture.predicted(name).items()}
    return gather(samples) if len(samples) == len(parts) else None, predicted


def _bears_out(case: Case, opened: OpenTask, samples: Samples | None) -> bool:
    """Return True if the samples are of what was scored: a class of the user's own may tell of a part of it alone."""
    is_single = opened.parts == (opened.task,)
    return case.task.code is None or samples is None or not is_single or {*samples.by_stratum()} == {*case.task.strata}


def _measurement(case: Case, result: "TaskResult", samples: Samples | None) -> Measurement:
    """Take the main score of every stratum asked for out of mteb's result, and compute them again.

    Raises:
        ModelError: one of them is not there, is not a number, or is not what the predictions say.
    """
    scores = {
        f"{split}/{entry['hf_subset']}": entry.get("main_score")
        for split, entries in result.scores.items()
        for entry in entries
    }
    subsets = {}
    for stratum in case.task.strata:
        subsets[stratum] = _check_score(case, stratum, scores.get(stratum))
    recomputed = None if samples is None else rescore(samples)
    if recomputed is not None:
        _compare(case, subsets, recomputed)
    return Measurement(
        metric=case.task.main_score,
        score=fmean(subsets.values()),
        subsets=subsets,
        n=None if samples is None else len(samples),
        recomputed=None if recomputed is None else fmean(recomputed.values()),
        chance=_chance(case, samples),
    )


def _check_score(case: Case, stratum: str, score: Any) -> float:
    name = f"{case.task.main_score} of {stratum}"
    if score is None:
        raise ModelError(f"{name} is missing")
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise ModelError(f"{name} is {score}")
    if case.task.code is not None and not -1 <= score <= 1:
        raise ModelError(f"{name} is {score} by {case.task.code}; expected a fraction, where larger is better")
    return float(score)


def _chance(case: Case, samples: Samples | None) -> float | None:
    """Return what guessing gets, None where that is not known."""
    gold = None if samples is None else samples.gold
    strata = () if samples is None or gold is None else samples.by_stratum().values()
    return find_type(case.task.type).chance(case.task.main_score, [cast(Any, gold)[rows].tolist() for rows in strata])


def _compare(case: Case, subsets: dict[str, float], recomputed: dict[str, float]) -> None:
    """Refuse a score that the captured predictions do not bear out: one of the two computations is wrong."""
    pairs = [(stratum, subsets[stratum], recomputed[stratum]) for stratum in subsets if stratum in recomputed]
    pairs = pairs or [("the mean", fmean(subsets.values()), fmean(recomputed.values()))]
    by, hint = case.task.code or "mteb", "; a metric of its own needs a name of its own" * (case.task.code is not None)
    for stratum, theirs, ours in pairs:
        if abs(theirs - ours) > RECOMPUTED_TOLERANCE:
            raise ModelError(
                f"{case.task.main_score} of {stratum} is {theirs:.6f} by {by}, {ours:.6f} from the predictions it "
                f"gave{hint}"
            )


def keep_result(result: "TaskResult", meta: Any, store: Store, *, folder: str = "results") -> None:
    """Write what `mteb.ResultCache(cache_path=…).load_results()` reads; no score is ever read back from it.

    Other subsets and splits of the same task, measured before with the same mteb and data, stay in the file.
    """
    path = store.result_path(meta.model_name_as_path(), meta.revision, result.task_name, folder=folder)

    def write(old: Path, new: Path) -> None:
        merged = result
        with suppress(Exception):  # there is none, or mteb cannot read it: it is damaged
            stored = type(result).from_disk(old)
            merged = stored.merge(result) if stored.is_mergeable(result) else result
        merged.to_disk(new)

    store.write_result(path, write, meta.to_dict())


def join_results(old: bytes, new: bytes) -> bytes:
    """Return one result in mteb's layout of two of the same model and task: what both have is the newer one's."""
    from mteb.results import TaskResult

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "before.json"), Path(folder, "after.json")
        before.write_bytes(old)
        after.write_bytes(new)
        with suppress(Exception):  # mteb cannot read one of them
            older, newer = TaskResult.from_disk(before), TaskResult.from_disk(after)
            if older.is_mergeable(newer):
                older.merge(newer).to_disk(after)
        return after.read_bytes()
