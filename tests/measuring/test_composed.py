"""Pipelines: what the two stages score together is what they score by hand, and the first is not computed twice."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders import write_retrieval
from tests.encoders import save_tiny_cross_encoder, save_tiny_model
from touchstone.config.models import Model, find_model, load_models
from touchstone.config.options import Options
from touchstone.config.retrievers import PipelineSpec
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec
from touchstone.config.suites import Selection
from touchstone.encoding.reranker import MtebReranker
from touchstone.errors import ModelError, MovedError
from touchstone.measuring.case import OpenCase
from touchstone.measuring.engines.local import LocalEngine
from touchstone.models.base import Opened, OpenReranker
from touchstone.models.kinds import KINDS, identify
from touchstone.models.weights.identity import locate
from touchstone.records.cases import Case, Source
from touchstone.records.outcomes import Outcome, Settings
from touchstone.session.session import open_session
from touchstone.store.folder import Store
from touchstone.tasks.catalog import find_tasks
from touchstone.tasks.opening import open_task

LIMIT = 30


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def minilm() -> Model:
    return find_model("minilm", load_models(), Path.cwd(), "--model")


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = save_tiny_cross_encoder(tmp_path_factory.mktemp("cross") / "tiny")
    return Model(alias="cross", spec=CrossEncoderSpec(path=folder), text="cross")


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = save_tiny_model(tmp_path_factory.mktemp("weak") / "tiny")
    return Model(alias="weak", spec=EncoderSpec(path=folder), text="weak")


@pytest.fixture(scope="module")
def xquad(mirror: Path) -> Case:
    """30 queries in English; they share their 240 documents."""
    (info,) = find_tasks(Selection(include=("XQuADRetrieval",), subsets={"XQuADRetrieval": ("en",)}), "test")
    return Case(alias="pipe", task=info, suite="test", source=Source(kind="mirror", path=mirror), limit=LIMIT)


@pytest.fixture
def articles() -> Case:
    """The embedded retrieval task."""
    from touchstone.config.suites import load_suite

    suite = load_suite("smoke", Path.cwd())
    (info,) = [t for t in find_tasks(suite.suite.tasks, "test") if t.name == "SmokeRetrieval"]
    return Case(alias="pipe", task=info, suite="smoke", limit=LIMIT)


def pipe(retriever: Model, reranker: Model, top_k: int, alias: str = "pipe") -> Model:
    spec = PipelineSpec(retriever=retriever.alias, reranker=reranker.alias, top_k=top_k)
    return Model(alias=alias, spec=spec, text=alias, stages=(retriever, reranker))


def run(case: Case, model: Model, store: Store) -> OpenCase:
    engine = LocalEngine({model.alias: model}, "cpu", store)
    with engine.measure(replace(case, alias=model.alias), lambda _: None) as opened:
        return opened


def measure(case: Case, model: Model, store: Store) -> Outcome:
    return run(case, model, store).outcome


def stand_in(monkeypatch: pytest.MonkeyPatch, score: Callable[[str, str], float]) -> None:
    """Open, for every cross-encoder, one that scores by a function of the two texts."""
    from mteb.models import ModelMeta

    meta = ModelMeta.create_empty({"name": "test/stand-in", "revision": "1"})

    class StandIn:
        def score(self, pairs: Any, **_: Any) -> Any:
            return np.array([score(*pair) for pair in pairs])

    def open_stand_in(model: Model, device: str, store: Store) -> OpenReranker:
        scorer: Any = StandIn()
        return OpenReranker(
            for_mteb=lambda meter: MtebReranker(scorer, meta, meter),
            identity=identify(model, store),
            settings=Settings(),
            device="cpu",
        )

    monkeypatch.setitem(KINDS, "cross-encoder", replace(KINDS["cross-encoder"], open=open_stand_in))


@pytest.fixture
def retrievers_opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every encoder that is loaded."""
    opened = []

    kind = KINDS["sentence-transformers"]

    def note(model: Model, device: str, store: Store) -> Opened:
        opened.append(model.alias)
        return kind.open(model, device, store)

    monkeypatch.setitem(KINDS, kind.name, replace(kind, open=note))
    return opened


@dataclass(frozen=True, kw_only=True)
class ByHand:
    """What mteb's own recipe gives for two stages: their scores, what the first predicted, and the data."""

    scores: list[float]
    found: dict[str, dict[str, float]]
    queries: dict[str, str]
    corpus: dict[str, str]
    judged: dict[str, dict[str, int]]


@pytest.fixture(scope="module")
def by_hand(xquad: Case, minilm: Model, cross: Model, store: Store, tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    import mteb
    from sentence_transformers import CrossEncoder, SentenceTransformer

    folder = tmp_path_factory.mktemp("predictions")
    scores: list[float] = []
    found: dict[str, Any] = {}
    with open_task(xquad.task, xquad.source, store, limit=LIMIT) as opened:
        task: Any = opened.task
        for model in (SentenceTransformer(locate(minilm, store).place), CrossEncoder(locate(cross, store).place)):
            result = mteb.evaluate(
                model, task, cache=None, prediction_folder=folder, co2_tracker=False, show_progress_bar=False
            )
            scores.append(result.task_results[0].get_score())
            found = found or json.loads(next(folder.iterdir()).read_text())["en"]["validation"]
            task.convert_to_reranking(folder, top_k=5)
        data = task.dataset["en"]["validation"]
        queries, corpus = ({row["id"]: row["text"] for row in data[name]} for name in ("queries", "corpus"))
        judged = dict(data["relevant_docs"])
    return ByHand(scores=scores, found=found, queries=queries, corpus=corpus, judged=judged)


def test_both_stages_score_what_mtebs_own_recipe_scores(
    xquad: Case, minilm: Model, cross: Model, store: Store, by_hand: ByHand
) -> None:
    outcome = measure(xquad, pipe(minilm, cross, 5), store)
    first, second = outcome.stages
    assert [first.score, second.score] == pytest.approx(by_hand.scores, abs=1e-6)
    assert outcome.measurement.score == second.score
    assert outcome.measurement.recomputed == pytest.approx(second.score, abs=1e-5)
    assert first.score > second.score + 0.2, "a reranker with random weights makes it worse"
    assert (first.alias, second.alias) == ("minilm", "cross")
    assert first.fingerprint == identify(minilm, store).fingerprint
    assert second.fingerprint == identify(cross, store).fingerprint
    assert first.model == "sentence-transformers/all-MiniLM-L6-v2"


def test_a_perfect_reranker_gets_what_the_candidates_allow(
    xquad: Case, minilm: Model, cross: Model, store: Store, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = by_hand.judged
    relevant = {(by_hand.queries[query], by_hand.corpus[document]) for query in judged for document in judged[query]}
    stand_in(monkeypatch, lambda query, document: float((query, document) in relevant))
    allowed = {}
    for top_k in (1, 5):
        best = {query: sorted(found, key=found.__getitem__)[-top_k:] for query, found in by_hand.found.items()}
        # One relevant document for each query: first where it is a candidate, else nowhere.
        allowed[top_k] = float(np.mean([bool(set(best[query]) & set(judged[query])) for query in judged]))
        assert measure(xquad, pipe(minilm, cross, top_k), store).measurement.score == pytest.approx(
            allowed[top_k], abs=1e-5
        )
    assert allowed[1] < allowed[5]


def test_one_candidate_leaves_the_first_place_as_it_was(
    articles: Case, weak: Model, cross: Model, store: Store
) -> None:
    alone, together = (run(articles, model, store) for model in (weak, pipe(weak, cross, 1)))
    assert alone.samples is not None
    assert together.samples is not None
    assert alone.samples.top is not None
    assert together.samples.top == [list(top[:1]) for top in alone.samples.top]
    name = f"results/local/pipe__{together.outcome.identity.fingerprint}"
    assert not (store.folder / name).exists(), "a limited run is not filed as a whole one"


def test_exactly_the_best_documents_are_reranked(articles: Case, weak: Model, cross: Model, store: Store) -> None:
    alone, together = (run(articles, model, store) for model in (weak, pipe(weak, cross, 7)))
    assert alone.samples is not None
    assert together.samples is not None
    pairs = zip(alone.samples.top or (), together.samples.top or (), strict=True)
    orders = [(list(before[:7]), list(after)) for before, after in pairs]
    assert len(orders) == LIMIT
    assert all(sorted(before) == sorted(after) for before, after in orders)
    assert any(before != after for before, after in orders)
    assert together.outcome.texts == 7 * LIMIT, "the first stage was known"


def test_the_first_stage_is_not_computed_again_where_the_retriever_ran(
    articles: Case, weak: Model, cross: Model, tmp_path: Path, retrievers_opened: list[str]
) -> None:
    store = Store(tmp_path)
    alone = measure(articles, weak, store)
    assert retrievers_opened == ["weak"]
    first = measure(articles, pipe(weak, cross, 10), store)
    other = measure(articles, pipe(weak, cross, 3), store)
    assert retrievers_opened == ["weak"]
    assert [outcome.stages[0].score for outcome in (first, other)] == [alone.measurement.score] * 2
    assert first.stages[0].reused
    assert (first.texts, first.encoded) == (10 * LIMIT, 10 * LIMIT)


def test_the_first_stage_of_a_pipeline_serves_the_next_pipeline(
    articles: Case, weak: Model, cross: Model, tmp_path: Path, retrievers_opened: list[str]
) -> None:
    store = Store(tmp_path)
    first = measure(articles, pipe(weak, cross, 10), store)
    again = measure(articles, pipe(weak, cross, 10), store)
    assert retrievers_opened == ["weak"]
    assert (first.stages[0].reused, again.stages[0].reused) == (False, True)
    assert again.measurement == first.measurement
    assert first.texts > again.texts == 10 * LIMIT
    assert {name for name, seconds in first.phases.items() if seconds > 0} == {
        "model", "data", "encode", "rerank", "score"
    }  # fmt: skip


@pytest.mark.parametrize("change", ["limit", "data", "retriever"])
def test_what_was_found_in_other_circumstances_is_not_used(
    articles: Case, weak: Model, cross: Model, tmp_path: Path, retrievers_opened: list[str], change: str
) -> None:
    store = Store(tmp_path / "store")
    measure(articles, weak, store)
    retriever = weak
    if change == "limit":
        articles = replace(articles, limit=LIMIT + 1)
    elif change == "data":
        import shutil

        folder = shutil.copytree(str(articles.task.folder), tmp_path / "data")
        with (Path(folder) / "corpus.jsonl").open("a") as file:
            file.write('{"_id": "new", "title": "", "text": "a document that nobody asks for"}\n')
        articles = replace(articles, task=replace(articles.task, folder=Path(folder)))
    else:
        retriever = replace(weak, spec=EncoderSpec(path=weak.spec.path, max_seq_length=8))  # type: ignore[attr-defined]
    outcome = measure(articles, pipe(retriever, cross, 5), store)
    assert retrievers_opened == ["weak", "weak"]
    assert not outcome.stages[0].reused


@pytest.mark.parametrize("damage", [b"", b"x" * 999, None])
def test_damaged_rankings_are_computed_again(
    articles: Case, weak: Model, cross: Model, tmp_path: Path, retrievers_opened: list[str], damage: bytes | None
) -> None:
    store = Store(tmp_path)
    sound = measure(articles, pipe(weak, cross, 5), store)
    found = store.folder / "rankings" / identify(weak, store).fingerprint
    (file,) = (path for path in found.rglob("*") if path.is_file())
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content) if damage is None else damage)
    again = measure(articles, pipe(weak, cross, 5), store)
    assert again.measurement == sound.measurement
    assert not again.stages[0].reused
    assert retrievers_opened == ["weak", "weak"]
    assert measure(articles, pipe(weak, cross, 5), store).stages[0].reused, "and kept again"


def test_fingerprint_covers_both_models_and_how_many_documents(
    minilm: Model, weak: Model, cross: Model, store: Store, tmp_path: Path
) -> None:
    folder = save_tiny_cross_encoder(tmp_path / "other", seed=1)
    other = replace(cross, spec=CrossEncoderSpec(path=folder))
    models = [pipe(weak, cross, 5), pipe(weak, cross, 6), pipe(minilm, cross, 5), pipe(weak, other, 5)]
    identities = [identify(model, store) for model in models]
    assert len({identity.fingerprint for identity in identities}) == 4
    assert {(one.name, one.revision, one.unmodified) for one in identities} == {("local/pipe", None, False)}
    assert identify(replace(models[0], alias="named"), store).fingerprint == identities[0].fingerprint


def test_results_of_both_stages_are_kept_in_mtebs_layout(
    articles: Case, weak: Model, cross: Model, tmp_path: Path
) -> None:
    import mteb
    from mteb.results import TaskResult

    store = Store(tmp_path)
    whole = replace(articles, limit=None)
    outcome = measure(replace(whole, stage_folders=True), pipe(weak, cross, 5), store)
    first, second = outcome.stages
    loaded = mteb.ResultCache(cache_path=store.folder).load_results()
    scores = {m.model_name: m.task_results[0].get_score() for m in loaded.model_results}
    expected = {
        f"local/weak__{first.fingerprint}": first.score,
        f"local/pipe__{outcome.identity.fingerprint}": second.score,
    }
    assert scores == pytest.approx(expected, abs=1e-6)
    for folder, stage in (("stage1", first), ("stage2", second)):
        (file,) = (store.folder / folder).rglob("SmokeRetrieval.json")
        assert TaskResult.from_disk(file).get_score() == pytest.approx(stage.score, abs=1e-6)
        assert file.relative_to(store.folder / folder).parts[0].startswith(f"local__{stage.alias}__")
        assert (file.parent / "model_meta.json").is_file()
    (entry,) = json.loads(file.read_text())["scores"]["test"]
    assert entry["previous_results_model_meta"]["model_name"] == f"local/weak__{first.fingerprint}"


def test_stage_folders_are_only_there_when_asked_for(articles: Case, weak: Model, cross: Model, tmp_path: Path) -> None:
    store = Store(tmp_path)
    measure(replace(articles, limit=None), pipe(weak, cross, 5), store)
    assert not list(tmp_path.glob("stage*"))
    assert len(list((store.folder / "results").rglob("SmokeRetrieval.json"))) == 2


def test_more_candidates_than_are_retrieved_is_one_sentence(
    articles: Case, weak: Model, cross: Model, store: Store
) -> None:
    with pytest.raises(
        ModelError,
        match=r"^pipe: top_k = 1001, but mteb keeps at most 1000 documents for a query of SmokeRetrieval$",
    ):
        measure(articles, pipe(weak, cross, 1001), store)


@pytest.mark.parametrize(
    ("score", "sentence"),
    [
        (lambda query, document: float("nan"), r"^the model returned scores that are NaN or infinite"),
        (lambda query, document: 0.5, r"^the model gives each of 150 pairs the same score, 0\.5"),
    ],
)
def test_a_broken_reranker_is_an_error(
    articles: Case,
    weak: Model,
    cross: Model,
    monkeypatch: pytest.MonkeyPatch,
    *,
    store: Store,
    score: Any,
    sentence: str,
) -> None:
    stand_in(monkeypatch, score)
    with pytest.raises(ModelError, match=sentence):
        measure(articles, pipe(weak, cross, 5), store)


def test_a_two_stage_configuration_of_evalscope_runs_and_leaves_both_stages_folders(
    weak: Model, cross: Model, tmp_path: Path
) -> None:
    """The configuration of EvalScope's own page, with local models in the place of its two."""
    write_retrieval(tmp_path / "hub" / "mteb" / "T2Retrieval", queries=12, seed=1, split="dev")
    places = [str(model.spec.path) for model in (weak, cross)]  # type: ignore[attr-defined]
    stages = [
        {"model_name_or_path": place, "is_cross_encoder": number == 1, "max_seq_length": 64,
         "model_kwargs": {"torch_dtype": "auto"}, "encode_kwargs": {"batch_size": 32}}
        for number, place in enumerate(places)
    ]  # fmt: skip
    asked = {"tasks": ["T2Retrieval"], "verbosity": 2, "output_folder": "outputs", "overwrite_results": True}
    config = {"eval_backend": "RAGEval", "eval_config": {"tool": "MTEB", "model": stages, "eval": asked}}
    (tmp_path / "two.json").write_text(json.dumps(config))
    typed = {"suites": ["two.json"], "source": "mirror:hub", "baseline": "off", "device": "cpu"}
    session = open_session(Options.parse(typed, root=tmp_path, cwd=tmp_path))
    (case,) = session.plan.cases
    with session.measure(case, lambda _: None) as measured:
        outcome = measured.outcome
    for folder, stage in zip(("stage1", "stage2"), outcome.stages, strict=True):
        (file,) = (tmp_path / "outputs" / folder).rglob("T2Retrieval.json")
        (entry,) = json.loads(file.read_text())["scores"]["dev"]
        assert entry["main_score"] == pytest.approx(stage.score, abs=1e-6)
    assert len(list((tmp_path / "outputs" / "results").rglob("T2Retrieval.json"))) == 2


@pytest.mark.parametrize("stage", ["retriever", "reranker"])
@pytest.mark.parametrize("back", [False, True])
def test_a_stage_that_becomes_another_while_the_pipeline_is_opened_is_not_taken_for_it(
    articles: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, back: bool
) -> None:
    save = {"retriever": save_tiny_model, "reranker": save_tiny_cross_encoder}
    for name, kind in save.items():
        kind(tmp_path / name, seed=1)
    weights, other = tmp_path / stage / "model.safetensors", save[stage](tmp_path / "other", seed=2)
    first = Model(alias="first", spec=EncoderSpec(path=tmp_path / "retriever"), text="first")
    last = Model(alias="last", spec=CrossEncoderSpec(path=tmp_path / "reranker"), text="last")
    model, store, own = pipe(first, last, 10), Store(tmp_path / "store"), weights.read_bytes()
    engine = LocalEngine({"pipe": model}, "cpu", store)
    name = "sentence-transformers" if stage == "retriever" else "cross-encoder"
    opens = KINDS[name].open

    def change_and_open(*args: Any) -> Opened:
        weights.write_bytes((other / "model.safetensors").read_bytes())
        return opens(*args)

    with monkeypatch.context() as patched:
        patched.setitem(KINDS, name, replace(KINDS[name], open=change_and_open))
        with (
            pytest.raises(MovedError, match="its files changed while pipe was loaded"),
            engine.measure(articles, lambda _: None),
        ):
            pass
    assert not list((store.folder / "rankings").rglob("*.blob"))
    if back:
        weights.write_bytes(own)
        with engine.measure(articles, lambda _: None) as opened:
            assert opened.outcome.identity == identify(model, store)


def test_a_retriever_that_moved_and_came_back_is_loaded_anew(
    articles: Case, cross: Model, tmp_path: Path, retrievers_opened: list[str]
) -> None:
    folder = save_tiny_model(tmp_path / "weak")
    weak = Model(alias="weak", spec=EncoderSpec(path=folder), text="weak")
    store = Store(tmp_path / "store", overwrite=True)
    engine = LocalEngine({"pipe": pipe(weak, cross, 10)}, "cpu", store)
    with engine.measure(articles, lambda _: None):
        pass
    (folder / "model.safetensors").touch()
    with engine.measure(articles, lambda _: None):
        pass
    assert retrievers_opened == ["weak", "weak"]
