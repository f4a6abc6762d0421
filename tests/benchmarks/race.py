"""Whether a number is ever kept under a name that is not what was measured: files that change while they are measured.

Run by hand: ``python -m tests.benchmarks.race [--rounds 50] [--seed 7]`` (some ten minutes). Each round is a process of
its own that runs four cases: a tiny model on a task of a user's and on one of a mirror, and a pipeline of it and a
cross-encoder. At one moment of the run one thing of the model or of the data becomes another: B, where A was. In half
of the rounds A comes back later. Other processes then run the same by what is left in the store, with A in place and
with B, and drop what is cached step by step: outcomes, rankings, vectors, prepared data.

What is right is computed beforehand, by a process and with a store of its own for each content. A number is wrong where
it is not that of the fingerprint and data that it is kept or told under. Prints a table of moments and things; exit
code 1 where a number is wrong.
"""

import argparse
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parent.parent.parent
HUB = Path(os.environ.get("TOUCHSTONE_MIRROR", ROOT.parent / "shared" / "hub"))
SET = "mteb/biosses-sts"
SUITE = """
models = ["tiny", "pipe"]
[[tasks.custom]]
name = "Tickets"
type = "Retrieval"
path = "data"
"""
MIRRORED = '[tasks]\ninclude = ["BIOSSES"]\n[source]\nkind = "mirror"\npath = "hub"\n'
MODELS = """
[tiny]
path = "model"
[judge]
kind = "cross-encoder"
path = "judge"
[pipe]
kind = "pipeline"
retriever = "tiny"
reranker = "judge"
top_k = 5
"""
MOMENTS = (
    "before hashing", "while hashing", "between hashing and loading", "while loading", "after loading",
    "while measuring",
)  # fmt: skip
LATER = ("never", "after loading", "after measuring", "before keeping")
# A number that is right is right to the last digit but for the order of a sum.
WITHIN = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """What becomes another: a file or folder of a project, whose it is, and the ways in which it may."""

    path: str
    of: str
    ways: tuple[str, ...] = ("replaced", "rewritten", "link", "link moved")


FOLDER = ("link", "link moved", "renamed")
BESIDE = ("replaced",)
THINGS: Mapping[str, Thing] = {
    "weights": Thing(path="model/model.safetensors", of="tiny"),
    "weights of a module": Thing(path="model/2_Dense/model.safetensors", of="tiny"),
    "tokenizer": Thing(path="model/tokenizer.json", of="tiny"),
    "config": Thing(path="model/config.json", of="tiny"),
    "pooling": Thing(path="model/1_Pooling/config.json", of="tiny"),
    "list of modules": Thing(path="model/modules.json", of="tiny"),
    "a file more": Thing(path="model/sentence_bert_config.json", of="tiny", ways=BESIDE),
    "model": Thing(path="model", of="tiny", ways=FOLDER),
    "cross-encoder": Thing(path="judge/model.safetensors", of="judge"),
    "its folder": Thing(path="judge", of="judge", ways=FOLDER),
    "corpus": Thing(path="data/corpus.jsonl", of="Tickets"),
    "judgements": Thing(path="data/qrels/test.jsonl", of="Tickets"),
    "data": Thing(path="data", of="Tickets", ways=FOLDER),
    "mirrored file": Thing(path=f"hub/{SET}/test.jsonl.gz", of="BIOSSES"),
    "mirrored set": Thing(path=f"hub/{SET}", of="BIOSSES", ways=FOLDER),
    "a README more": Thing(path=f"hub/{SET}/README.md", of="BIOSSES", ways=BESIDE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One run in which one thing changes.

    ``nth`` of the times that the moment comes it happens. ``pauses`` are seconds before and after each change.
    """

    number: int
    thing: str
    way: str
    moment: str
    back: str
    nth: int
    pauses: tuple[float, float]
    order: int


def draw(chosen: random.Random, number: int, *, thing: str | None = None, moment: str | None = None) -> Round:
    """Draw a round; what is said of it stays."""
    thing = thing or chosen.choice([name for name in THINGS if THINGS[name].of != "BIOSSES" or HUB.is_dir()])
    moment = moment or chosen.choice(MOMENTS)
    # A file is hashed more often than a model is loaded, and many are read of one.
    nth = (1, 1, 2, 3, 5) if "e hashing" in moment else (1, 2, 4, 9) if moment == "while loading" else (1, 1, 2)
    return Round(
        number=number,
        thing=thing,
        way=chosen.choice(THINGS[thing].ways),
        moment=moment,
        back=chosen.choice(("never",) * 3 + LATER[1:]),
        nth=chosen.choice(nth),
        pauses=(chosen.choice((0.0, 0.0, 0.004)), chosen.choice((0.0, 0.004, 0.15))),
        order=chosen.randrange(1 << 16),
    )


def build(folder: Path, things: Collection[str]) -> None:
    """Write the projects: ``a``, and for each thing one like it in which that is another."""
    from tests.encoders import save_tiny_cross_encoder

    a = folder / "a"
    _save_model(a / "model", seed=1)
    save_tiny_cross_encoder(a / "judge", seed=3)
    _write_data(a / "data", seed=5)
    (a / "suite.toml").write_text(SUITE + (MIRRORED if HUB.is_dir() else ""))
    (a / "models.toml").write_text(MODELS)
    others = folder / "others"
    _save_model(others / "model", seed=2)
    save_tiny_cross_encoder(others / "judge", seed=4)
    _write_data(others / "data", seed=6)
    if HUB.is_dir():
        for place, seed in ((a, 0), (others, 1)):
            _copy_set(place / "hub" / SET, seed)
    for name, thing in THINGS.items():
        if name in things and ((others / thing.path).exists() or thing.path in _made_of(a)):
            _make_other(folder, name, thing)


def _made_of(a: Path) -> dict[str, str]:
    """Return what some files become, by their paths."""
    model = a / "model"
    said = json.loads((model / "tokenizer.json").read_text())
    vocabulary = said["model"]["vocab"]
    for one, two in zip("abcdef", "uvwxyz", strict=True):
        vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    readme = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: test\n    path: other.jsonl.gz\n---\n"
    return {
        "model/tokenizer.json": json.dumps(said, ensure_ascii=False, indent=2),
        "model/config.json": (model / "config.json").read_text().replace("1e-12", "9e-01"),
        "model/1_Pooling/config.json": (model / "1_Pooling/config.json").read_text().replace('"mean"', '"cls"'),
        "model/modules.json": (model / "modules.json").read_text().replace("1_Pooling", "3_Pooling"),
        "model/sentence_bert_config.json": '{"max_seq_length": 6, "do_lower_case": false}',
        **({f"hub/{SET}/README.md": readme} if (a / "hub").is_dir() else {}),
    }


def _make_other(folder: Path, name: str, thing: Thing) -> None:
    project = folder / name
    shutil.copytree(folder / "a", project)
    path, made = project / thing.path, _made_of(folder / "a").get(thing.path)
    if made is not None:
        path.write_text(made)
    elif path.is_dir():
        shutil.rmtree(path)
        shutil.copytree(folder / "others" / thing.path, path)
    else:
        shutil.copy(folder / "others" / thing.path, path)


def _save_model(folder: Path, seed: int) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense

    from tests.encoders import save_tiny_model

    plain = save_tiny_model(folder.with_name(f"{folder.name}-plain"), seed)
    loaded: Any = SentenceTransformer(str(plain), device="cpu")
    SentenceTransformer(modules=[*loaded, Dense(32, 24)], device="cpu").save(str(folder), create_model_card=False)
    (folder / "sentence_bert_config.json").unlink()  # it can be without, and a thing is that it has one
    shutil.copytree(folder / "1_Pooling", folder / "3_Pooling")
    config = folder / "3_Pooling" / "config.json"
    config.write_text(config.read_text().replace('"mean"', '"max"'))
    for path in folder.parent.glob(f"{folder.name}-plain*"):
        shutil.rmtree(path)


def _write_data(folder: Path, seed: int) -> None:
    chosen = random.Random(seed)

    def text() -> str:
        return " ".join("".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=4)) for _ in range(12))

    rows: dict[str, list[dict[str, Any]]] = {
        "corpus": [{"_id": f"d{i:02}", "title": "", "text": text()} for i in range(30)],
        "queries": [{"_id": f"q{i:02}", "text": text()} for i in range(20)],
        "qrels/test": [{"query-id": f"q{i:02}", "corpus-id": f"d{d:02}", "score": 1}
                       for i in range(20) for d in chosen.sample(range(30), 4)],
    }  # fmt: skip
    (folder / "qrels").mkdir(parents=True)
    for name, lines in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def _copy_set(folder: Path, seed: int) -> None:
    """Copy a set of the mirror, whose scores are others where there is a seed; and what a README may name instead."""
    folder.mkdir(parents=True)
    rows = [json.loads(line) for line in gzip.decompress((HUB / SET / "test.jsonl.gz").read_bytes()).splitlines()]
    for name, shift in (("test", 0), ("other", 100)):
        scores = [row["score"] for row in rows]
        if seed + shift:
            random.Random(seed + shift).shuffle(scores)
        lines = [json.dumps(row | {"score": score}) for row, score in zip(rows, scores, strict=True)]
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


class Change:
    """One thing of a project that can become another and again what it was.

    Args:
        project: the folder of a round; ``a`` and the thing's own project lie in ``built``.
        built: from `build`.
        planned: the round.
    """

    def __init__(self, project: Path, built: Path, planned: Round) -> None:
        self._path = project / THINGS[planned.thing].path
        self._way = planned.way
        self._number = 0
        self._spare = project.with_name(f"{project.name}-beside")
        self._contents = {}
        for name, source in (("a", built / "a"), ("b", built / planned.thing)):
            kept, found = self._spare / name, source / THINGS[planned.thing].path
            kept.parent.mkdir(parents=True, exist_ok=True)
            if found.is_dir():
                shutil.copytree(found, kept)
            elif found.is_file():
                shutil.copy(found, kept)
            self._contents[name] = kept
        if planned.way.startswith("link"):
            shutil.rmtree(self._path) if self._path.is_dir() else self._path.unlink()
            self._path.symlink_to(self._contents["a"])
        if planned.way == "renamed":
            shutil.rmtree(self._contents["a"])  # it is in place
        if planned.way == "link moved":
            (self._spare / "link to b").symlink_to(self._contents["b"])

    def make(self, name: str) -> None:
        """Put the content ``a`` or ``b`` in place."""
        content, path = self._contents[name], self._path
        beside = self._spare / f"new {self._number}"
        self._number += 1
        if self._way == "link":
            beside.symlink_to(content)
            beside.replace(path)
        elif self._way == "link moved":
            if path.readlink() != content:
                other = self._spare / f"link to {'a' if name == 'b' else 'b'}"
                path.rename(other)
                (self._spare / f"link to {name}").rename(path)
        elif self._way == "renamed":
            if content.exists():
                path.rename(beside)
                content.rename(path)
                beside.rename(self._contents["b" if name == "a" else "a"])
        elif not content.exists():
            path.unlink(missing_ok=True)
        elif self._way == "rewritten" and path.exists():
            before = path.stat()
            with path.open("r+b") as file:
                file.write(content.read_bytes())
                file.truncate()
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        else:
            shutil.copy(content, beside)
            os.utime(beside, ns=(0, 10**18))
            beside.replace(path)


class Trap:
    """Makes B of A at a moment of a run, and A of B at another one, by wrapping what the run calls."""

    def __init__(self, change: Change, planned: Round) -> None:
        self._change = change
        self._planned = planned
        self._times = 0
        self._opening = False
        self._lock = threading.Lock()
        self.sprung = False
        self.undone = False
        self._undo: list[tuple[Any, str, Any]] = []

    def come(self, moment: str) -> None:
        """Note that a moment has come."""
        if moment == self._planned.moment and not self.sprung:
            self._times += 1
            if self._times >= self._planned.nth:
                self.sprung = True
                self._do("b")

    def pass_by(self, moment: str) -> None:
        """Note that a moment has come at which A may come back."""
        if self.sprung and not self.undone and moment == self._planned.back:
            self.undone = True
            self._do("a")

    def _do(self, name: str) -> None:
        before, after = self._planned.pauses
        time.sleep(before)
        self._change.make(name)
        time.sleep(after)

    def set(self) -> None:
        """Wrap the functions of the package."""
        from touchstone.encoding import batching
        from touchstone.measuring import case
        from touchstone.models import cross_encoders
        from touchstone.models.weights import loading
        from touchstone.store import folder, hashes
        from touchstone.tasks import opening

        thing = THINGS[self._planned.thing]
        self._wrap(hashes.Hashes, "of", self._around_hash, "before hashing")
        self._wrap(hashes, "_at_rest", self._after_look, "while hashing")
        if thing.of in ("tiny", "judge"):
            self._wrap(loading if thing.of == "tiny" else cross_encoders, "construct", self._around_load, thing.of)
        else:
            self._wrap(opening, "_open_custom" if thing.of == "Tickets" else "_load", self._around_load, thing.of)
        sys.addaudithook(self._look)
        if thing.of == "judge":
            self._wrap(cross_encoders.BatchedReranker, "score", self._around_batch, "")
        else:
            self._wrap(batching.BatchedModel, "_run", self._around_batch, "")
        self._wrap(case, "_evaluate", self._around_evaluation, "")
        self._wrap(folder.Store, "put", self._around_keeping, "")
        self._wrap(folder.Store, "write_samples", self._around_keeping, "")

    def release(self) -> None:
        """Undo that."""
        for owner, name, old in self._undo:
            setattr(owner, name, old)
        self._opening = False

    def _wrap(self, owner: Any, name: str, by: Callable[..., Any], what: str) -> None:
        old = getattr(owner, name)
        self._undo.append((owner, name, old))
        setattr(owner, name, lambda *args, **kwargs: by(what, old, *args, **kwargs))

    def _is_it(self, path: Any) -> bool:
        return THINGS[self._planned.thing].path.partition("/")[0] in Path(str(path)).parts

    def _around_hash(self, what: str, call: Callable[..., Any], *args: Any) -> Any:
        ours = args and Path(args[-1]).name == THINGS[self._planned.thing].path.rpartition("/")[2]
        if ours or (self._is_it(args[-1]) and self._planned.way in (*FOLDER, *BESIDE)):
            self.come(what)
        return call(*args)

    def _after_look(self, what: str, call: Callable[..., Any], path: Any) -> Any:
        seen = call(path)
        self._around_hash(what, lambda _: None, path)
        return seen

    def _around_load(self, _: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.come("between hashing and loading")
        self._opening = True
        try:
            return call(*args, **kwargs)
        finally:
            self._opening = False
            self.pass_by("after loading")
            self.come("after loading")

    def _look(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and self._opening and self._lock.acquire(blocking=False):
            try:
                if self._is_it(args[0]):
                    self.come("while loading")
            finally:
                self._lock.release()

    def _around_batch(self, _: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        found = call(*args, **kwargs)
        self.come("while measuring")
        return found

    def _around_evaluation(self, _: str, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        finally:
            self.pass_by("after measuring")

    def _around_keeping(self, _: str, call: Callable[..., Any], *args: Any) -> Any:
        self.pass_by("before keeping")
        return call(*args)


def run(project: Path, store: Path, order: int = 0, baseline: str = "off") -> dict[str, dict[str, Any]]:
    """Run the cases of a project in an order drawn; return what became of each."""
    from touchstone.config.options import Options
    from touchstone.session.session import open_session

    typed = {"suites": ["suite.toml"], "models_files": "models.toml", "device": "cpu", "store": str(store),
             "baseline": baseline, "baselines": str(store.parent / "baselines")}  # fmt: skip
    session = open_session(Options.parse(typed, root=project, cwd=project))
    cases = list(session.plan.cases)
    random.Random(order).shuffle(cases)
    session.expect([case.id for case in cases])
    found = {case.id: _measure(session, case) for case in cases}
    for record in session.finish().run.records:
        if record.error is not None or record.measurement is None:
            found[record.case] = {"error": record.error or "not measured"}
    return found


def _measure(session: Any, case: Any) -> dict[str, Any]:
    from touchstone.errors import TouchstoneError
    from touchstone.records.runs import make_record
    from touchstone.task_types.registry import rescore

    try:
        with session.measure(case, lambda _: None) as measured:
            outcome = measured.outcome
            samples = session.cache.samples(outcome)
            again = None if samples is None else rescore(samples)
            session.add(make_record(case, outcome, None, None))
            return {
                "fingerprint": outcome.identity.fingerprint,
                "data": outcome.measurement.data_sha256,
                "score": outcome.measurement.score,
                "samples": None if again is None else sum(again.values()) / len(again),
                "stages": [[stage.alias, stage.fingerprint, stage.score] for stage in outcome.stages],
                "reused": outcome.reused,
            }
    except Exception as error:  # whatever it is, nothing may be kept
        words = str(error) if isinstance(error, TouchstoneError) else f"{type(error).__name__}: {error}"
        session.add(make_record(case, None, None, words))
        return {"error": words}


def race(built: Path, folder: Path, planned: Round) -> dict[str, Any]:
    """Run one round in its folder."""
    project = folder / "project"
    shutil.copytree(built / "a", project)
    time.sleep(0.12)  # what was just written is waited for, which would hide how soon a change is seen
    change = Change(project, built, planned)
    trap = Trap(change, planned)
    trap.set()
    try:
        found = run(project, folder / "store", planned.order, "update")
    finally:
        trap.release()
    return {"found": found, "sprung": trap.sprung, "undone": trap.undone}


def look(built: Path, folder: Path, planned: Round) -> dict[str, Any]:
    """Run again by what a round has left: with A in place and with B, and with less and less that is cached."""
    found: dict[str, Any] = {}
    for name, source in (("a", built / "a"), ("b", built / planned.thing)):
        project, store = folder / f"again {name}", folder / f"store of {name}"
        shutil.copytree(source, project)
        shutil.copytree(folder / "store", store)
        for without in ("", "outcomes", "rankings"):
            if without:
                shutil.rmtree(store / "outcomes", ignore_errors=True)
            if without == "rankings":
                shutil.rmtree(store / without, ignore_errors=True)
            found[f"{name} without {without or 'nothing'}"] = run(project, store, planned.order)
    return found


class Truth:
    """What is right, by what was measured.

    Args:
        known: what each project gave in a clean store.
    """

    def __init__(self, known: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        self._by_project = known
        self._scores: dict[tuple[str, str, str], float] = {}
        self._files: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for cases in known.values():
            for case, one in cases.items():
                self._scores[case, one["fingerprint"], one["data"]] = one["score"]
                self._files[case.partition(":")[2], one["fingerprint"]].append(one["score"])
                for alias, fingerprint, score in one["stages"]:
                    self._scores[f"{alias} in {one['fingerprint']}", fingerprint, one["data"]] = score

    def wrong_in(self, case: str, one: Mapping[str, Any]) -> str | None:
        """Return what is wrong with what became of a case, None where nothing is."""
        if "error" in one:
            return None
        right = self._scores.get((case, one["fingerprint"], one["data"]))
        if right is None or abs(right - one["score"]) > WITHIN:
            return f"{case}: {one['score']}, of this fingerprint and data {right}"
        if one["samples"] is not None and abs(one["samples"] - right) > 1e-4:
            return f"{case}: its samples say {one['samples']}, not {right}"
        for alias, fingerprint, score in one["stages"]:
            right = self._scores.get((f"{alias} in {one['fingerprint']}", fingerprint, one["data"]))
            if right is None or abs(right - score) > WITHIN:
                return f"{case}: stage {alias} {score}, of this fingerprint {right}"
        return None

    def wrong_again(self, project: str, cases: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        """Name what a run with one content in place gave that is not its own."""
        for case, one in cases.items():
            right = self._by_project[project][case]
            if "error" in one:
                yield f"{case} again: {one['error']}"
            elif (one["fingerprint"], one["data"]) != (right["fingerprint"], right["data"]):
                yield f"{case} again: another fingerprint or data"
            elif wrong := self.wrong_in(case, one):
                yield f"again, {wrong}"

    def wrong_files(self, folder: Path) -> Iterator[str]:
        """Name result files and baselines whose score is not that of the fingerprint in their place."""
        for path in (folder / "store" / "results").rglob("*.json"):
            if path.name != "model_meta.json":
                said = json.loads(path.read_text())["scores"]
                scores = [entry["main_score"] for entries in said.values() for entry in entries]
                yield from self._wrong_file(path, path.stem, path.parent.name, sum(scores) / len(scores))
        for path in (folder / "baselines").glob("*.json"):
            for name, entry in json.loads(path.read_text())["tasks"].items():
                yield from self._wrong_file(path, name, entry["fingerprint"], entry["score"])

    def _wrong_file(self, path: Path, task: str, fingerprint: str, score: float) -> Iterator[str]:
        known = self._files[task, fingerprint]
        if not any(abs(score - one) < 1e-4 for one in known):
            yield f"{path.name}: {score} of {fingerprint}, which has {known}"

    def judge(self, folder: Path, planned: Round, raced: Any, looked: Any) -> list[str]:
        """Name everything that is wrong after a round."""
        found = [wrong for case, one in raced["found"].items() if (wrong := self.wrong_in(case, one))]
        found += self.wrong_files(folder)
        for name, cases in looked.items():
            project = "a" if name.startswith("a ") else planned.thing
            found += [f"{name}: {wrong}" for wrong in self.wrong_again(project, cases)]
        return found


def word_of(raced: Mapping[str, Any], wrong: Sequence[str]) -> str:
    """Say in a word what happened in a round."""
    if wrong:
        return "WRONG"
    if not raced["sprung"]:
        return "not reached"
    errors = [one["error"] for one in raced["found"].values() if "error" in one]
    told = ("changed while", "than when", "run again", "is not there", "no model files")
    if any(not any(word in error for word in told) for error in errors):
        return "error of another kind"
    return "ERROR" if errors else "right"


def call(what: str, built: Path, folder: Path, rounds: Sequence[Round]) -> list[Any]:
    """Let another Python do something for some rounds, each in its own folder; return what it says of each."""
    folder.mkdir(parents=True, exist_ok=True)
    asked, said = folder / f"{what}-asked.json", folder / f"{what}-said.json"
    asked.write_text(json.dumps([asdict(one) for one in rounds]))
    command = [sys.executable, "-m", "tests.benchmarks.race", "--do", what, str(built), str(asked), str(said)]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "evals"), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{rounds}: exit {done.returncode}: {done.stderr[-3000:]}")
    found: list[Any] = json.loads(said.read_text())
    return found


def do(what: str, built: Path, asked: Path, said: Path) -> None:
    """Do it, in the Python that was called."""
    rounds = [Round(**one | {"pauses": tuple(one["pauses"])}) for one in json.loads(asked.read_text())]
    found: Any
    if what == "build":
        build(built, {one.thing for one in rounds} or THINGS)
        found = []
    elif what == "truth":
        places = [path for path in sorted(built.iterdir()) if (path / "suite.toml").is_file()]
        found = [{place.name: run(place, asked.parent / "truths" / place.name / "store") for place in places}]
    else:
        act = race if what == "race" else look
        found = [act(built, asked.parent / str(one.number), one) for one in rounds]
    said.write_text(json.dumps(found))


def known_truth(built: Path, folder: Path, rounds: Sequence[Round] = ()) -> Truth:
    """Build the projects, of some rounds or all, and measure each in a clean store.

    Raises:
        AssertionError: a thing that becomes another changes no score, so that nothing would be seen.
    """
    call("build", built, folder, rounds)
    (known,) = call("truth", built, folder, [])
    for project, cases in known.items():
        for case, one in cases.items():
            assert "error" not in one, f"{project}, {case}: {one}"
        changed = [case for case, one in cases.items() if abs(one["score"] - known["a"][case]["score"]) > 1e-6]
        assert changed or project == "a", f"{project}: no score is another"
    return Truth(known)


def hold(built: Path, folder: Path, truth: Truth, rounds: Sequence[Round]) -> list[tuple[Round, Any, list[str]]]:
    """Race some rounds in one Python, look at them in another, and judge."""
    try:
        raced = call("race", built, folder, rounds)
    except RuntimeError as error:  # a mapped file that is cut kills who reads it; what is kept by then must be right
        raced = [{"found": {"all": {"error": str(error)}}, "sprung": True, "undone": False} for _ in rounds]
        for one in rounds:
            (folder / str(one.number) / "store").mkdir(parents=True, exist_ok=True)
    looked = call("look", built, folder, rounds)
    found = []
    for one, its, again in zip(rounds, raced, looked, strict=True):
        found.append((one, its, truth.judge(folder / str(one.number), one, its, again)))
        shutil.rmtree(folder / str(one.number))
    return found


def main(rounds: int, seed: int) -> int:
    """Print the table; return the exit code."""
    chosen, counts = random.Random(seed), Counter[tuple[str, str, str]]()
    with TemporaryDirectory() as scratch:
        built = Path(scratch, "built")
        truth = known_truth(built, Path(scratch, "truth"))

        def one(planned: Round) -> list[tuple[Round, Any, list[str]]]:
            return hold(built, Path(scratch, f"round {planned.number}"), truth, [planned])

        wrong_ones = 0
        with ThreadPoolExecutor(2) as pool:
            for results in pool.map(one, [draw(chosen, number) for number in range(rounds)]):
                for planned, raced, wrong in results:
                    word = word_of(raced, wrong)
                    counts[planned.moment, planned.thing, word] += 1
                    wrong_ones += bool(wrong)
                    back = planned.back if raced["undone"] else "never"
                    print(f"{planned.number}: {planned.moment} ({planned.nth}), {planned.thing} {planned.way}, back "
                          f"{back}: {word}", *wrong[:3], sep="\n    ", file=sys.stderr)  # fmt: skip
                    if word == "error of another kind":
                        print("    ", raced["found"], file=sys.stderr)
    print("| moment | thing | ERROR | right | not reached | another error | WRONG |\n|---|---|--:|--:|--:|--:|--:|")
    for moment in MOMENTS:
        for thing in THINGS:
            cells = [counts[moment, thing, word]
                     for word in ("ERROR", "right", "not reached", "error of another kind", "WRONG")]  # fmt: skip
            if any(cells):
                print("|", moment, "|", thing, "|", " | ".join(map(str, cells)), "|")
    return 1 if wrong_ones else 0


if __name__ == "__main__":
    with suppress(IndexError):
        if sys.argv[1] == "--do":
            do(sys.argv[2], *map(Path, sys.argv[3:6]))
            sys.exit(0)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=7)
    typed = parser.parse_args()
    sys.exit(main(typed.rounds, typed.seed))
