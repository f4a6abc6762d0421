"""May the index stay? Two models on the same texts, and each one's queries on the other's index."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from touchstone.baselines.files import make_baseline
from touchstone.config.models import load_models
from touchstone.config.options import Options
from touchstone.encoding.meter import Meter
from touchstone.errors import ConfigError
from touchstone.formatting import render_duration, shorten, some
from touchstone.measuring.case import measure_opened
from touchstone.measuring.mixed import Mixed, SeenVectors, encode_texts
from touchstone.metrics import geometry
from touchstone.models.api.guessing import Guesses
from touchstone.models.base import OpenModel
from touchstone.models.kinds import find_typed, open_encoder
from touchstone.records.cases import Case, Policy
from touchstone.records.outcomes import ModelIdentity
from touchstone.records.runs import make_record
from touchstone.records.studies import IndexVerdict, Moved, SameTexts, Searched
from touchstone.session.compare import Measured, Side, compare, sum_up
from touchstone.session.forecast import make_forecast
from touchstone.session.plan import find_cases
from touchstone.store.folder import Store
from touchstone.store.runs import load_runs
from touchstone.task_types.registry import find_type
from touchstone.tasks.opening import open_task

NEIGHBOURS, QUERY_LIMIT, WORST_COUNT, TEXT_LIMIT = 10, 1_000, 5, 200
THRESHOLDS = (0.9999, 0.999, 0.99, 0.9)
# How far apart the cosines of pairs may be in two models that differ by an orthogonal map, and by rounding in halves.
ROTATION_TOLERANCE = 1e-3
# Whose queries on whose index: 0 is the old model, 1 the new one.
Ways = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Two:
    """The old model and the new one: what the user calls them, opened, and the texts that each was asked for."""

    names: tuple[str, str]
    opened: tuple[OpenModel, OpenModel]
    seen: tuple[SeenVectors, SeenVectors]

    @property
    def one_width(self) -> bool:
        """True if the vectors of both have one width, by those encoded so far."""
        return len({len(next(iter(seen.rows.values()), ())) for seen in self.seen}) == 1


def study_vectors(
    old: str, new: str, options: Options, texts: Sequence[str] | None, tell: Callable[[str], None]
) -> IndexVerdict:
    """Compare two models' vectors of the texts of a suite, or of some texts, and each one's queries on each index.

    Args:
        old: the model of the index, as for ``--model``.
        new: the one that is to come.
        options: what was typed: suites, store, bound and so on.
        texts: a user's own, in the place of a suite's; nothing is searched then.
        tell: called with lines of progress.

    Raises:
        TouchstoneError: one of them cannot be opened or measured, or nothing is there to compare.
    """
    specs, guess = load_models(*options.models_files), Guesses()
    resolved = [find_typed(text, specs, options, "MODEL", guess=guess) for text in (old, new)]
    store = Store(options.store_folder, run=uuid.uuid4().hex, reuse_api=options.reuse_api, patience=options.patience)
    models = [open_encoder(model, options.device, store) for model in resolved]
    for model, opened in zip(resolved, models, strict=True):
        if opened.quantize is not None:
            raise ConfigError(f"{model.alias}: {opened.quantize} quantizes by what is encoded together; name another")
    two = Two(names=(old, new), opened=(models[0], models[1]), seen=(SeenVectors(), SeenVectors()))
    if texts is not None:
        for opened, seen in zip(two.opened, two.seen, strict=True):
            encode_texts(opened, texts, seen)
    searched = () if texts is not None else _search(two, store, options, tell)
    return judge_index(old, new, compare_same_texts(*_stack_shared(*two.seen)), searched)


def _stack_shared(first: SeenVectors, second: SeenVectors) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the texts that both models were asked for, and the vectors of each, in one order."""
    keys = [key for key in first.rows if key in second.rows]
    if len(keys) < 2:
        raise ConfigError("there are fewer than two different texts to compare")
    vectors = [np.stack([seen.rows[key] for key in keys]) for seen in (first, second)]
    return [text for _, text in keys], vectors[0], vectors[1]


def compare_same_texts(texts: Sequence[str], old: np.ndarray, new: np.ndarray) -> SameTexts:
    """Look at two models' vectors of the same texts; shapes (texts, dimensions), which may differ in width."""
    queries = np.linspace(0, len(texts) - 1, min(QUERY_LIMIT, len(texts))).astype(np.int64)
    count = min(NEIGHBOURS, len(texts) - 1)
    overlap = geometry.kept_share(*(geometry.nearest(vectors, queries, count) for vectors in (old, new)))
    one_width = old.shape[1] == new.shape[1]
    cosines = geometry.cosines(old, new) if one_width else None
    worst = () if cosines is None else np.argsort(cosines, kind="stable")[:WORST_COUNT]
    apart = geometry.distances(old, new) if one_width else None
    ranks, pairs = geometry.compare_pairs(old, new)
    return SameTexts(
        texts=len(texts),
        shapes=(geometry.describe_shape(old), geometry.describe_shape(new)),
        quantiles=None if cosines is None else tuple(map(float, np.quantile(cosines, (0.0, 0.05, 0.5)))),  # type: ignore[arg-type]
        below={} if cosines is None else {f"{limit:g}": float((cosines < limit).mean()) for limit in THRESHOLDS},
        worst=tuple(Moved(text=shorten(texts[row], TEXT_LIMIT), cosine=float(cosines[row])) for row in worst),  # type: ignore[index]
        moved=None if apart is None else geometry.tell_what_moved(apart, [len(text) for text in texts]),
        kept=(float(overlap.mean()), float(overlap.min())),
        ranks=ranks,
        pairs=pairs,
    )


def _search(two: Two, store: Store, options: Options, tell: Callable[[str], None]) -> tuple[Searched, ...]:
    """Measure each case that searches, with each model's queries on each one's index; where none does, each model's."""
    plan = find_cases(replace(options, models=tuple(dict.fromkeys(two.names))))
    cases = [case for case in plan.cases if case.alias == plan.cases[0].alias]
    searching = [case for case in cases if find_type(case.task.type).searches == "corpus"]
    forecast = make_forecast(plan, load_runs(options.store_folder), options.device)
    task_names = sorted({case.task.name for case in searching or cases})
    seconds = forecast.seconds(case for case in plan.cases if case.task.name in task_names)
    tell(f"about {render_duration(seconds)} for {some(task_names)}")
    measured: dict[Ways, dict[str, Measured]] = {}
    for case in searching or cases:
        with open_task(case.task, case.source, store, limit=case.limit) as opened:
            for ways in ((0, 0), (1, 1), (1, 0), (0, 1)):
                if ways[0] != ways[1] and not (searching and two.one_width):
                    continue
                tell(f"{case.task.name}: queries of {two.names[ways[0]]}, index of {two.names[ways[1]]}")
                measured.setdefault(ways, {})[case.key] = _measure(case, opened, two, ways)
    return tuple(_judge(ways, two.names, measured, cases[0].policy, options) for ways in measured)


def _measure(case: Case, opened: Any, two: Two, ways: Ways) -> Measured:
    """Measure a case with the queries of one model and everything else of the same or another."""
    queries, others = (two.opened[way] for way in ways)
    seen = two.seen[ways[0]] if queries is others else None
    identity = ModelIdentity(
        name=f"{queries.identity.name} on {others.identity.name}", revision=None, unmodified=False,
        fingerprint=others.identity.fingerprint if queries is others else "mixed",
    )  # fmt: skip

    def for_mteb(meter: Meter) -> Any:
        return Mixed(queries, others, meter, seen)

    mixed = replace(others, for_mteb=for_mteb, identity=identity, encode_kwargs={})
    result = measure_opened(case, opened, mixed, lambda _: None)
    record = make_record(case, result.outcome, None, None)
    return Measured(
        task=case.task.name,
        type=case.task.type,
        baseline=replace(make_baseline(record, {}), recorded=None),
        samples=result.samples,
        chance=result.outcome.measurement.chance,
    )


def _judge(
    ways: Ways,
    names: tuple[str, str],
    measured: Mapping[Ways, Mapping[str, Measured]],
    policy: Policy,
    options: Options,
) -> Searched:
    """Judge whether one way to search is equivalent to old queries on the old index."""
    cases, reference = measured[ways], {key: measured[0, 0][key] for key in measured[ways]}
    sides = [Side(name=name, alias=name, model=name, revision=None, measured=by_key)
             for name, by_key in (("old on old", reference), ("candidate", cases))]  # fmt: skip

    def override(_: Policy) -> Policy:
        return replace(options.override(policy), rule="equivalent", gated=len(cases))

    scores = {case.task: case.baseline.score for case in cases.values()}
    if ways == (0, 0):
        return Searched(queries=names[0], index=names[0], scores=scores, delta=None, interval=None, verdict="",
                        reason="")  # fmt: skip
    suite = sum_up(compare(sides[0], sides[1], override=override))
    return Searched(
        queries=names[ways[0]],
        index=names[ways[1]],
        scores=scores,
        delta=suite.delta,
        interval=suite.interval,
        verdict=suite.verdict,
        reason=suite.reason,
    )


def judge_index(old: str, new: str, same: SameTexts, searched: Sequence[Searched]) -> IndexVerdict:
    """Return the verdict on the index, from the verdict on each way to search."""
    words = {(way.queries == new, way.index == new): way.verdict for way in searched}
    new_on_new, new_on_old, old_on_new = words.get((True, True)), words.get((True, False)), words.get((False, True))
    verdict: Any = "inconclusive"
    if old == new or same.moved == geometry.ROUNDING_ONLY:
        verdict, reason = "interchangeable", "the same vectors but for rounding"
    elif not searched:
        reason = f"{same.moved or 'two widths'}; only a suite with a retrieval task says what a search would find"
    elif new_on_new is not None and same.quantiles is None:
        widths = " and ".join(str(shape.dimensions) for shape in same.shapes)
        verdict, reason = "re-embed", f"an index has vectors of one width, these have {widths}"
    elif new_on_old is None:
        reason = f"no task searches; {same.moved}"
    elif (new_on_new, new_on_old, old_on_new) == ("PASS", "PASS", "PASS"):
        verdict, reason = "interchangeable", f"the same scores within the bound in all four ways; {same.moved}"
    elif new_on_old == "PASS":
        verdict, reason = "queries first", f"new queries find the same on the old index; {same.moved}"
    elif "FAIL" in (new_on_old, old_on_new):
        cause = "; the same up to an orthogonal map" if same.pairs <= ROTATION_TOLERANCE else ""
        verdict, reason = "re-embed", f"one model's queries do not find the other's documents; {same.moved}{cause}"
    else:
        reason = f"too few samples to prove that a search finds the same; {same.moved}"
    return IndexVerdict(old=old, new=new, verdict=verdict, reason=reason, same_texts=same, searched=tuple(searched))
