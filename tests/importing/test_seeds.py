"""The real cards and published results that lie beside the mirror: every number that their own tables show."""

from pathlib import Path
from statistics import fmean

import pytest
from huggingface_hub import ModelCard
from mteb.results import TaskResult

from tests.importing.documents import rows_of
from touchstone.baselines.files import load_baseline_file
from touchstone.errors import BaselineError
from touchstone.importing.cards import load_card
from touchstone.importing.entries import find_score, gather_metrics
from touchstone.importing.reading import read_source
from touchstone.importing.request import Imported, Request
from touchstone.records.baselines import Baseline
from touchstone.records.cases import TaskInfo
from touchstone.tasks.catalog import describe
from touchstone.tasks.definitions import define_task
from touchstone.tasks.registry import load_registry

ROOT = Path(__file__).parent.parent.parent
# The average over MTEB(eng, v1), then by type, as the cards' tables have them.
TYPES = ("Retrieval", "Clustering", "PairClassification", "Reranking", "STS", "Summarization", "Classification")
TABLES = {
    "bge-large-en": (63.98, 53.90, 46.98, 85.80, 59.48, 81.56, 32.06, 76.21),
    "all-mpnet-base-v2": (57.78, 43.81, 43.69, 83.04, 59.36, 80.28, 27.49, 65.07),
    "SFR-Embedding-Mistral": (67.56, 59.00, 51.67, 88.54, 60.64, 85.05, 31.16, 78.32),
    "jina-embeddings-v2-small-en": (58.00, 45.14, 40.08, 84.44, 55.09, 80.00, 30.56, 68.82),
}


def beside(mirror: Path, name: str) -> Path:
    path = mirror.parent / name
    if not path.is_dir():
        pytest.skip(f"no {name} beside the mirror, at {path}")
    return path


@pytest.fixture(scope="session")
def seeds(mirror: Path) -> Path:
    return beside(mirror, "seeds")


@pytest.fixture(scope="session")
def results(mirror: Path) -> Path:
    return beside(mirror, "results")


@pytest.fixture(scope="module")
def english() -> list[TaskInfo]:
    """The tasks of MTEB(eng, v1), each with the splits and subsets that the benchmark counts."""
    registry = load_registry()
    return [describe(registry.take(part), ()) for part in registry.benchmarks["MTEB(eng, v1)"]]


def read(path: Path, **changes: str) -> Imported:
    (found,) = read_source(Request(source=str(path), folder=path.parent, **changes))  # type: ignore[arg-type]
    return found


def published(entry: Baseline, task: TaskInfo) -> float:
    strata = entry.metrics.get("cosine_ap", entry.subsets)
    return fmean(strata[stratum] for stratum in task.strata)


@pytest.mark.parametrize("name", TABLES)
def test_averages_are_those_of_the_cards_own_table(seeds: Path, english: list[TaskInfo], name: str) -> None:
    entries = read(seeds / f"{name}.md").entries
    scores = {task.name: published(entries[task.name], task) for task in english}
    by_type = [fmean(scores[task.name] for task in english if task.type == type_name) for type_name in TYPES]
    averages = tuple(round(100 * value, 2) for value in (fmean(scores.values()), *by_type))
    assert averages == TABLES[name]


@pytest.mark.parametrize("name", TABLES)
def test_the_committed_baseline_is_what_the_card_gives(seeds: Path, name: str) -> None:
    committed = load_baseline_file(ROOT / "baselines" / f"{name.lower()}.json")
    found = read(seeds / f"{name}.md")
    assert (committed.model, committed.tasks) == (found.model, found.entries)


def test_a_card_and_the_results_of_its_model_agree(seeds: Path, results: Path) -> None:
    card = read(seeds / "all-mpnet-base-v2.md").entries
    model = results / "results" / "sentence-transformers__all-mpnet-base-v2"
    files = sorted(file for file in model.glob("*/*.json") if file.name != "model_meta.json")
    measured: dict[str, Baseline] = {}
    for revision in {file.parent.name for file in files}:
        measured |= read(model / revision).entries
    away: dict[str, float] = {}
    for name in card.keys() & measured.keys():
        both = card[name].subsets.keys() & measured[name].subsets.keys()
        if both:
            away[name] = max(abs(card[name].subsets[one] - measured[name].subsets[one]) for one in both)
    assert len(away) == 63
    assert away.pop("EmotionClassification") == pytest.approx(0.025)  # another revision of the data
    for name, distance in away.items():
        task = define_task(name)
        assert task is not None
        assert distance < (5e-3 if task.type in ("Clustering", "Classification") else 2e-4), name


def test_several_revisions_are_named_and_a_copy_of_a_card_is_refused(results: Path) -> None:
    with pytest.raises(BaselineError, match=r"84f2bcc0\w+ \(77 files\); .* 9a322596\w+ \(29 files\); name one with"):
        read(results / "results" / "sentence-transformers__all-mpnet-base-v2")
    with pytest.raises(BaselineError, match="is a copy of a model card"):
        read(results / "results" / "BAAI__bge-large-en" / "external")


@pytest.mark.filterwarnings("ignore:Main score")
def test_every_published_file_is_read_as_mteb_reads_it(results: Path) -> None:
    files = [file for file in results.glob("results/*/*/*.json") if file.name != "model_meta.json"]
    assert len(files) == 498  # and twelve that say which model it is
    unread = set()
    for file in files:
        rows = rows_of(file)
        theirs = {
            f"{split}/{row['hf_subset']}": row["main_score"]
            for split, found in TaskResult.from_disk(file).scores.items()
            for row in found
        }
        ours = {row.stratum: find_score(row.task, gather_metrics(row.metrics, row.where)) for row in rows}
        if None in theirs.values():  # mteb does not look for today's main score under its former name
            unread.add(file.stem)
            theirs = {row.stratum: dict(row.metrics)["map"] for row in rows}
        assert ours == pytest.approx(theirs, rel=0, abs=0, nan_ok=True), file
    assert unread == {"MMarcoReranking", "T2Reranking"}


@pytest.mark.parametrize("name", TABLES)
def test_every_number_of_a_card_is_the_one_that_the_hubs_own_reader_gives(seeds: Path, name: str) -> None:
    card = load_card(seeds / f"{name}.md")
    ours = {(row.task.name, row.stratum, metric): value for row in card.rows for metric, value in row.metrics}
    theirs: dict[tuple[str, str, str], list[float]] = {}
    for one in ModelCard.load(seeds / f"{name}.md").data.eval_results:
        task, _, named = one.dataset_name.removeprefix("MTEB ").partition(" (")
        known = define_task(task)
        assert known is not None
        subset = one.dataset_config if one.dataset_config in known.subsets else named.rstrip(")")
        theirs.setdefault((known.name, f"{one.dataset_split}/{subset}", one.metric_type), []).append(one.metric_value)
    once = {key: values[0] for key, values in theirs.items() if len(values) == 1}
    assert {key: 100 * ours[key] for key in once} == pytest.approx(once, rel=1e-12, abs=1e-10)
    apart = sorted(value for key, values in theirs.items() if len(values) > 1 for value in values)
    assert sorted(100 * ours[key] for key in ours.keys() - once.keys()) == pytest.approx(apart, rel=1e-12, abs=1e-10)
    assert card.notes == ()


def test_the_committed_minilm_is_what_the_results_give(results: Path) -> None:
    found = read(results, revision="8b3219a92973c328a8e22fadcfa821b5dc75636a").entries
    committed = load_baseline_file(ROOT / "baselines" / "minilm.json").tasks
    imported = {name: entry for name, entry in committed.items() if entry.fingerprint is None}
    assert imported
    for name, entry in imported.items():
        assert entry.subsets == found[name].subsets
        assert (entry.metric, entry.dataset_revision) == (found[name].metric, found[name].dataset_revision)
