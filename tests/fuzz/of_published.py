"""Readers of numbers from elsewhere: model cards, trees of result files, and baselines that somebody committed."""

import json
from functools import cache
from itertools import islice
from typing import Any

import yaml

from tests.builders import REVISION, make_baseline, make_baseline_file
from tests.fuzz.law import Place
from tests.fuzz.mutation import Files
from tests.fuzz.reader import ROOT, SHARED, Reader, ensure, ensure_finite, ensure_harmless
from tests.importing.documents import make_block, make_front, make_result
from tests.importing.documents import make_row as make_result_row
from touchstone.baselines.diff import differ, load_sides
from touchstone.baselines.files import Baselines, load_baseline_file, render_baseline_file
from touchstone.errors import BaselineError, TouchstoneError
from touchstone.foreign import JOINERS, one_line
from touchstone.importing.cards import load_card
from touchstone.importing.entries import make_entries, require_entries
from touchstone.importing.reading import find_kind, read_source
from touchstone.importing.request import Request
from touchstone.importing.writing import import_baselines, render_notes
from touchstone.records.baselines import BaselineFile
from touchstone.records.flat import read_baseline_file
from touchstone.records.outcomes import Settings

# Blocks and entries of a real file that a seed has: all of them would be changed at one place in a thousand.
SOME = 6


def _cards() -> list[Files]:
    blocks = [
        make_block(), make_block("STS17", "STS", named="en-en", config="en-en"),
        make_block("STSBenchmark", "STS", revision=1.0),
        make_block("TwitterSemEval2015", "PairClassification"), make_block("Banking77Classification", "Classification"),
    ]  # fmt: skip
    fronts: list[Any] = [
        make_front(*blocks),
        make_front(blocks[0], {"task": {"type": "x"}, "dataset": {"name": "other"}}),
    ]
    for path in sorted((SHARED / "seeds").glob("*.md")):
        content = path.read_bytes()
        if content.startswith(b"---\n") and b"model-index" in content:
            front = yaml.load(content.split(b"---\n")[1], getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            (model,) = front["model-index"]
            fronts += [
                front | {"model-index": [{**model, "results": model["results"][at : at + SOME]}]} for at in (0, 20, 40)
            ]
    made = [f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n\n# A model\n".encode() for front in fronts]
    return [{"card.md": content} for content in made]


def read_card(place: Place) -> None:
    """Read a card, and make entries of a baseline file of it."""
    find_kind(Request(source="card.md", folder=place.folder))
    card = load_card(place.folder / "card.md")
    entries, notes = make_entries(card.rows, f"card:{card.name}")
    render_notes((*card.notes, *notes))
    require_entries(entries, notes, str(place.folder))
    keep(BaselineFile(model=card.name, tasks=entries))


def keep(content: BaselineFile) -> None:
    """Write a baseline file and read it again: it is the same, and every number of it is finite."""
    ensure_finite(content, "baselines")
    text = render_baseline_file(content)
    try:
        again = read_baseline_file(text.encode(), "written")
    except TouchstoneError as error:
        ensure(holds=False, what=f"what was taken is refused where it was written: {error}")
    else:
        ensure(again == content, f"{again} was {content}")


TREE = f"results/org__some-model/{REVISION}"


def _results() -> list[Files]:
    rows = [make_result_row("de", cosine_spearman=0.5, pearson=0.4), make_result_row("en", cosine_spearman=0.75)]
    old = {
        "mteb_dataset_name": "NFCorpus",
        "dataset_revision": None,
        "mteb_version": "1.0.2",
        "test": {"ndcg_at_10": 0.3, "evaluation_time": 3},
    }
    sts = {"mteb_dataset_name": "STSBenchmark", "dataset_revision": "x" * 40, "mteb_version": "1.0.2",
           "test": {"cos_sim": {"spearman": 0.8, "pearson": 0.75}, "evaluation_time": 1.5}}  # fmt: skip
    contents = [
        make_result(),
        make_result("STS22", *rows),
        make_result("NFCorpus", evaluation_time=float("nan")),
        old,
        sts,
    ]
    found = [(one.get("task_name") or one["mteb_dataset_name"], json.dumps(one).encode()) for one in contents]
    real = sorted(islice(SHARED.glob("results/results/*/*/*.json"), 500), key=lambda path: path.stat().st_size)
    found += [(path.stem, path.read_bytes()) for path in real[:300:15] if path.name != "model_meta.json"]
    meta = {f"{TREE}/model_meta.json": b'{"name": "org/some-model"}'}
    return [meta | {f"{TREE}/{name}.json": content} for name, content in found]


def read_results(place: Place) -> None:
    """Read a tree of results and a file of it, and make entries of a baseline file."""
    for path in sorted((place.folder / TREE).glob("*.json"))[:2]:
        find_kind(Request(source=str(path), folder=place.folder))
    find_kind(Request(source=str(place.folder), folder=place.folder))
    (found,) = read_source(Request(source=str(place.folder), folder=place.folder, kind="results"))
    render_notes(found.notes)
    keep(BaselineFile(model=found.model, revision=found.revision, tasks=found.entries))
    request = Request(source=str(place.folder), folder=place.scratch, kind="results")
    import_baselines(
        request, Baselines(place.scratch / "own", place.scratch / "none"), replace_recorded=True, dry_run=False
    )
    own = Baselines(place.scratch / "own", place.scratch / "none")
    ensure(
        {key: one.baseline for key, one in own.entries(found.alias).items()} == dict(found.entries),
        "imported otherwise",
    )


def _baselines() -> list[Files]:
    settings = Settings(prompts={"query": "q: "}, pooling="mean", max_length=512, dtype="float32", dimension=384)
    tasks = {
        "NFCorpus?limit=5": make_baseline(
            0.3, limit=5, n=5, samples="0" * 64, settings=settings, recorded="2026-11-21"
        ),
        "STS22": make_baseline(
            {"test/de": 0.5, "test/en": 0.75}, metrics={"cosine_pearson": {"test/de": 0.4, "test/en": 0.5}}
        ),
        "STSBenchmark": make_baseline(0.8, imported=True),
    }
    contents = [render_baseline_file(make_baseline_file(tasks)).encode()]
    for path in sorted((ROOT / "baselines").glob("*.json")):
        said = json.loads(path.read_bytes())
        said["tasks"] = dict(islice(said["tasks"].items(), SOME))
        contents.append(json.dumps(said).encode())
    other = render_baseline_file(make_baseline_file({"NFCorpus": make_baseline(0.25)})).encode()
    samples = {"own/samples/minilm/NFCorpus@limit=5.000000000000.parquet": b"PAR1"}
    return [{"own/minilm.json": content, "built-in/minilm.json": other, **samples} for content in contents]


@cache
def _new() -> BaselineFile:
    return make_baseline_file({"STSBenchmark": make_baseline(0.9), "NFCorpus": make_baseline(0.35)})


def read_baselines(place: Place) -> None:
    """Read a folder of baselines in each of the ways in which it is used."""
    own = Baselines(place.folder / "own", place.folder / "built-in")
    for alias in own.aliases():
        content = load_baseline_file(own.folder / f"{alias}.json") if (own.folder / f"{alias}.json").is_file() else None
        if content is not None:
            keep(content)
        entries = own.entries(alias)
        differ({key: one.baseline for key, one in entries.items()}, {"STS22": make_baseline(0.5)})
        for key, reference in entries.items():
            own.has_own(alias, key)
            try:
                own.load_samples(reference)
            except BaselineError as error:
                ensure(reference.samples is not None, str(error))
        try:
            merged = own.merge(alias, _new(), replace_recorded=True)
        except BaselineError:
            continue  # of another model
        keep(merged.content)
    if (place.folder / "own").is_dir() and (place.folder / "built-in").is_dir():
        load_sides(str(place.folder / "own"), str(place.folder / "built-in"), own, place.folder)


def _eval_results() -> list[Files]:
    result = {
        "dataset": {"id": "mteb/stsbenchmark-sts", "task_id": "STSBenchmark", "revision": REVISION},
        "value": 82.03,
        "date": "2026-01-31",
        "source": {"url": "https://huggingface.co/org/some-model", "name": "Model card"},
    }
    other = result | {"dataset": {"id": "mteb/sts17-crosslingual-sts", "task_id": "STS17_en-en_test"}, "value": 0.5}
    noted = other | {"notes": "Obtained using MTEB v2.26.24"}
    contents = ([result], [result, other], [noted, result])
    return [{".eval_results/mteb.yaml": yaml.safe_dump(one).encode()} for one in contents]


def read_eval_results(place: Place) -> None:
    """Read a folder of the hub's community evaluations, and make entries of a baseline file."""
    request = Request(source=str(place.folder / ".eval_results"), folder=place.folder, kind="eval_results", alias="m")
    (found,) = read_source(request)
    for line in render_notes(found.notes):
        ensure_harmless(one_line(line), "a note", allowed=JOINERS)
    keep(BaselineFile(model=found.model, revision=found.revision, tasks=found.entries))


READERS = (
    Reader(name="model cards", seeds=_cards, read=read_card),
    Reader(name=".eval_results", seeds=_eval_results, read=read_eval_results),
    Reader(name="results of mteb", seeds=_results, read=read_results),
    Reader(name="baselines", seeds=_baselines, read=read_baselines),
)
