"""The claims of the real cards, put to tiny models of the same architecture, files, pooling and prompts.

Their weights are random, so that none holds what its card claims: what is tested is that every run ends, says so with
the card's number and its own, and measured with the pooling and prompts that the card tells.
"""

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mteb
import pytest
from scipy.stats import spearmanr

from tests.architectures import hidden_states, pool, unit
from tests.builders import write_retrieval
from tests.faults.project import Project
from tests.folders import HEADS, save_as_published
from touchstone.__main__ import main
from touchstone.config.models import load_models
from touchstone.config.specs import EncoderSpec
from touchstone.encoding.prompts import fill

SEARCH = "Represent this sentence for searching relevant passages: "
WEB = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
ALIKE = "Instruct: Retrieve semantically similar text.\nQuery: "


@dataclass(frozen=True)
class Card:
    """What a card says of its model, and of it on BIOSSES, in percent to all digits."""

    architecture: str
    pooling: str
    longest: int
    claim: float
    prompts: Mapping[str, str] = field(default_factory=dict)
    side: str = "right"
    config: Mapping[str, Any] = field(default_factory=dict)

    def prompt(self, name: str) -> str:
        """Return what is put before a text."""
        return self.prompts.get(name, "")


CARDS = {
    "all-mpnet-base-v2": Card("MPNet", "mean", 384, 80.43195317854409),
    "bge-large-en": Card("Bert", "cls", 512, 80.36387933827882, {"Retrieval-query": SEARCH}),
    # The card's template filled for the two tasks of the run: its own instruction for search, and mteb's for BIOSSES.
    "SFR-Embedding-Mistral": Card(
        "Mistral", "lasttoken", 4096, 86.07003345325681, {"Retrieval-query": WEB, "STS": ALIKE}, "left", HEADS
    ),
    # The card's is a BERT with ALiBi for positions, by code of its publisher. Transformers has no such model that
    # reads both ways; BERT is the nearest.
    "jina-embeddings-v2-small-en": Card("Bert", "mean", 8192, 80.51569002630401),
}


@dataclass(frozen=True)
class Played:
    """A card's project after its run."""

    card: Card
    project: Project
    code: int
    said: str

    @property
    def bare(self) -> Path:
        """The model's transformer alone."""
        return self.project.folder / "tiny-bare"

    def record(self, task: str) -> dict[str, Any]:
        """Return what the report says of a task."""
        found: dict[str, Any] = {row["task"]: row for row in self.project.report()["records"]}[task]
        return found

    def claimed(self, task: str) -> dict[str, Any]:
        """Return what was imported for a task."""
        file = self.project.folder / "baselines" / "claimed.json"
        found: dict[str, Any] = json.loads(file.read_text())["tasks"][task]
        return found


def write_project(folder: Path, mirror: Path) -> Project:
    """Write a project with a mirror of its own: the real BIOSSES, and texts that are not NFCorpus under its name.

    No retrieval task that the cards claim is in the real mirror, and the prompts of two of them are for its queries.
    """
    (folder / "hub" / "mteb" / "biosses-sts").mkdir(parents=True)
    for file in (mirror / "mteb" / "biosses-sts").iterdir():
        shutil.copyfile(file, folder / "hub" / "mteb" / "biosses-sts" / file.name)
    write_retrieval(folder / "hub" / "mteb" / "nfcorpus", queries=8, seed=1)
    (folder / "evals").mkdir()
    (folder / "evals" / "test_tasks.py").write_text("from touchstone.test_tasks import *  # noqa: F403\n")
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '-p touchstone.plugin'\n")
    return Project(folder)


def play(folder: Path, source: Path, card: Card, mirror: Path) -> Played:
    """Import a card, write the tiny model, and measure it as a user does, in a process of its own."""
    project = write_project(folder, mirror)
    assert main(["baselines", "import", str(source), "--alias", "claimed", "--into", str(folder / "baselines")]) == 0
    save_as_published(
        folder / "tiny", card.architecture, pooling=card.pooling, longest=card.longest, side=card.side,
        prompts=card.prompts, **card.config,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "evals", "-p", "no:cacheprovider", "-p", "no:randomly",
         "--model", "./tiny", "--against", "claimed", "--task", "BIOSSES", "--task", "NFCorpus",
         "--suite", "english-v1", "--source", "mirror:hub", "--device", "cpu", "--report", "run.json"],
        cwd=folder, env=project.environment({}), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    return Played(card, project, done.returncode, done.stdout)


@pytest.fixture(scope="module")
def seeds(mirror: Path) -> Path:
    path = mirror.parent / "seeds"
    if not path.is_dir():
        pytest.skip(f"no seeds beside the mirror, at {path}")
    return path


@pytest.fixture(scope="module", params=CARDS)
def played(
    request: pytest.FixtureRequest, seeds: Path, mirror: Path, tmp_path_factory: pytest.TempPathFactory
) -> Played:
    name = request.param
    return play(tmp_path_factory.mktemp("seed"), seeds / f"{name}.md", CARDS[name], mirror)


def in_points(fraction: float, sign: str = "") -> str:
    """Write a number as the texts do."""
    return f"{100 * fraction:{sign}.2f}".replace("-", "−")


def test_the_run_says_claimed_against_measured(played: Played) -> None:
    record, claim = played.record("BIOSSES"), played.card.claim
    assert played.code == pytest.ExitCode.TESTS_FAILED, played.said
    assert record["baseline"] == pytest.approx(claim / 100, rel=0, abs=1e-12)  # as many digits as baselines have
    assert record["delta"] == record["score"] - record["baseline"]
    assert (record["outcome"], record["verdict"], record["n"], record["limit"]) == ("failed", "regressed", 100, None)
    assert record["reason"].startswith(
        f"cosine_spearman {in_points(record['score'])}, was {claim:.2f} in claimed (Δ {in_points(record['delta'])})"
    )
    # A random model may be near chance or only far below the claim; both are said.
    why = {"chance": ": at chance (0.00): check pooling, prompts, weights first", "threshold": ", beyond the margin of"}
    assert why[record["rule"]] in record["reason"]
    assert f"\ntiny:BIOSSES regressed: {record['reason']}\n" in played.said
    assert "\ntiny: FAIL of 2 of 56 cases: BIOSSES worse than expected\n" in played.said


def test_the_table_has_both_numbers_of_each_task(played: Played) -> None:
    rows = {words[0]: words[1:] for line in played.said.splitlines() if len(words := line.split()) == 7}
    for task in ("BIOSSES", "NFCorpus"):
        record, claimed = played.record(task), played.claimed(task)
        numbers = in_points(record["score"]), in_points(claimed["score"]), in_points(record["delta"], "+")
        assert rows[task] == [claimed["metric"], *numbers, str(record["n"]), record["verdict"]]


def test_the_data_revisions_of_card_and_run_are_named_where_they_differ(played: Played) -> None:
    record = played.record("BIOSSES")
    theirs, ours = played.claimed("BIOSSES")["dataset_revision"], record["dataset_revision"]
    said = f"; the imported number names data set revision {theirs}, this run {ours}"
    assert record["reason"].endswith(said) == (theirs != ours)
    assert ("revision" in record["reason"]) == (played.card.architecture == "MPNet")


def test_pooling_and_prompts_are_those_of_the_card(played: Played) -> None:
    card = played.card
    for task in ("BIOSSES", "NFCorpus"):
        settings = played.record(task)["settings"]
        assert (settings["pooling"], settings["prompts"]) == (card.pooling, card.prompts)
        assert settings["max_length"] == card.longest
    assert played.record("BIOSSES")["prompts"] == {"STS": [card.prompt("STS")]}
    asked = card.prompt("Retrieval-query")
    assert played.record("NFCorpus")["prompts"] == {"query": [asked], "document": [""]}


def test_the_measured_score_is_that_of_transformers_alone(played: Played, mirror: Path) -> None:
    card = played.card
    with gzip.open(mirror / "mteb" / "biosses-sts" / "test.jsonl.gz", "rt") as lines:
        pairs = [json.loads(line) for line in lines]
    texts = [card.prompt("STS") + pair[side] for side in ("sentence1", "sentence2") for pair in pairs]
    vectors = unit(pool(*hidden_states(played.bare, texts, card.side, card.longest), card.pooling))
    cosines = (vectors[: len(pairs)] * vectors[len(pairs) :]).sum(axis=1)
    alone = spearmanr(cosines, [pair["score"] for pair in pairs]).statistic
    # Cosines that are all but equal may change places.
    assert played.record("BIOSSES")["score"] == pytest.approx(alone, rel=0, abs=1e-4)


@pytest.mark.parametrize("name", CARDS)
def test_the_known_model_of_the_card_has_the_same_settings(name: str) -> None:
    card, spec = CARDS[name], load_models()[name.lower()]
    assert isinstance(spec, EncoderSpec)
    assert (spec.pooling, spec.max_seq_length, spec.normalize) == (card.pooling, card.longest, True)
    if spec.instruction is None:
        assert (spec.prompts or {}) == card.prompts
    else:
        alike = mteb.get_task("BIOSSES").abstask_prompt
        assert fill(spec.instruction, alike) == card.prompt("STS")
