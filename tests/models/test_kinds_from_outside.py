"""A kind of model that another installed package adds: named in a models file, run, judged, like any other."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

import touchstone
from tests.plugin.test_plugin import EVALS

SIMILARITY = Path(touchstone.__file__).parent / "data" / "similarity"
PACKAGE = '''
"""Vectors of the letters in a text."""
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from touchstone.config.base import Spec
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.prompts import Prompting
from touchstone.files.validation import NO_OTHER_KEYS
from touchstone.models.base import ModelKind, OpenModel
from touchstone.records.outcomes import ModelIdentity, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterSpec(Spec):
    __pydantic_config__: ClassVar[Any] = NO_OTHER_KEYS
    kind: Literal["letters"] = "letters"
    alphabet: str


class Letters:
    def __init__(self, alphabet):
        self.alphabet = alphabet

    def encode(self, texts, *, role=None, prompt=None, meter=None, **_):
        meter.count(len(texts))
        return np.array([[text.lower().count(letter) for letter in self.alphabet] for text in texts], np.float32)

    def flush(self):
        pass


class Cosine:
    def __init__(self, meta):
        self.mteb_model_meta = meta

    def similarity(self, one, other):
        from mteb.similarity_functions import cos_sim

        return cos_sim(one, other)

    def similarity_pairwise(self, one, other):
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(one, other)


def identify(model, store):
    return ModelIdentity(name="letters/" + model.alias, revision=None, unmodified=False, fingerprint="0" * 12)


def open_letters(model, device, store):
    from mteb.models import ModelMeta

    identity = identify(model, store)
    meta = ModelMeta.create_empty({"name": identity.name, "revision": "1"})
    encoder = Letters(model.spec.alphabet)
    return OpenModel(
        for_mteb=lambda meter: MtebEncoder(encoder, Cosine(meta), Prompting(), meter),
        identity=identity,
        settings=Settings(dimension=len(model.spec.alphabet)),
        device="cpu",
    )


KIND = ModelKind(
    name="letters", spec=LetterSpec, identify=identify, open=open_letters, device=lambda model, asked: "cpu",
    why_not=lambda model, task_type: None if task_type == "STS" else "letters are for STS",
)
'''
MODELS = '[abc]\nkind = "letters"\nalphabet = "abcdefghijklmnopqrstuvwxyz"\n'
SUITE = """
models = ["abc"]
[tasks]
[[tasks.custom]]
name = "Mine"
type = "STS"
path = "mine"
[[tasks.custom]]
name = "Other"
type = "Clustering"
path = "mine"
"""


def install(folder: Path, entry: str) -> None:
    """Lay a distribution into a folder of the import path, as an installer would."""
    folder.mkdir()
    (folder / "letters_kind.py").write_text(PACKAGE)
    metadata = folder / "letters_kind-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: letters-kind\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[touchstone.model_kinds]\n{entry}\n")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    pytester.makeini("[pytest]\n")
    (pytester.path / "mine").symlink_to(SIMILARITY)
    (pytester.path / "models.toml").write_text(MODELS)
    (pytester.path / "my.toml").write_text(SUITE)
    path = [str(pytester.path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    return pytester


def run(project: pytest.Pytester) -> pytest.RunResult:
    asked = ("--suite", "my.toml", "--models", "models.toml", "--baseline", "off", "--report", "run.json")
    return project.runpytest_subprocess(*EVALS, *asked)


def test_a_kind_from_outside_runs_end_to_end(project: pytest.Pytester) -> None:
    install(project.path / "site", "letters = letters_kind:KIND")
    result = run(project)
    result.assert_outcomes(passed=1)
    (record,) = json.loads((project.path / "run.json").read_text())["records"]
    assert (record["case"], record["model"]) == ("abc:Mine", "letters/abc")
    rows = [json.loads(line) for line in next(SIMILARITY.glob("*.jsonl")).read_text().splitlines()]
    expected = spearmanr([cosine(row["sentence1"], row["sentence2"]) for row in rows], [row["score"] for row in rows])
    assert record["score"] == pytest.approx(expected.statistic, abs=1e-4), "float32 breaks some ties"
    assert record["texts"] == record["encoded"]
    run(project).assert_outcomes(passed=1)
    (again,) = json.loads((project.path / "run.json").read_text())["records"]
    assert not again["reused"], "no key covers the code of another package"


def cosine(one: str, other: str) -> float:
    vectors = [np.array([Counter(text.lower())[chr(code)] for code in range(97, 123)], float) for text in (one, other)]
    return float(vectors[0] @ vectors[1] / np.prod([np.linalg.norm(vector) for vector in vectors]))


def test_a_kind_that_no_package_adds_is_one_sentence(project: pytest.Pytester) -> None:
    result = run(project)
    result.stderr.fnmatch_lines(['*models.toml: [[]abc[]]: kind = "letters"; expected one of "sentence-*'])


def test_an_entry_point_that_is_no_kind_is_one_sentence(project: pytest.Pytester) -> None:
    install(project.path / "site", "letters = letters_kind:open_letters")
    result = run(project)
    result.stderr.fnmatch_lines(["*touchstone.model_kinds: letters is not a ModelKind with a spec under Spec; mend *"])
