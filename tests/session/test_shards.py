"""Shards of a run and their merge, in one process: whatever N and the order, what one run would have said."""

import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from tests.builders import make_row, make_run
from tests.encoders import save_tiny_model
from touchstone.__main__ import main
from touchstone.config.options import Options
from touchstone.errors import BaselineError, ConfigError, TouchstoneError
from touchstone.judging.overall import judge_models
from touchstone.measuring.parts import UnfinishedError
from touchstone.records.flat import flatten
from touchstone.records.flat import read_run as read_content
from touchstone.records.runs import Record, Run, Shard, make_record
from touchstone.session.plan import find_cases
from touchstone.session.session import Finished, open_session
from touchstone.session.shards import count_parts, cut, read_costs, write_costs
from touchstone.session.stored_runs import ShardRun, find_shards, merge_shards
from touchstone.store.folder import Store
from touchstone.store.runs import read_any_run, read_run

SUITE = """
models = ["one", "two"]
[[tasks.custom]]
name = "Tickets"
type = "Retrieval"
path = "tickets"
[[tasks.custom]]
name = "Pairs"
type = "STS"
path = "pairs"
[[tasks.custom]]
name = "Topics"
type = "Classification"
path = "topics"
"""
WORDS = ("river", "rain", "bread", "moon", "stone", "paper", "glass", "wheel", "harbour", "lamp", "winter", "garden")


def lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny models and three small tasks, with baselines of one of them that is worse."""
    folder, chosen = tmp_path_factory.mktemp("project"), random.Random(3)

    def text(words: int) -> str:
        return " ".join(chosen.choices(WORDS, k=words))

    for seed, name in enumerate(("one", "two")):
        save_tiny_model(folder / name, seed)
    documents = [text(6) for _ in range(400)]
    documents[7] = documents[300]  # a text that occurs twice
    lines(folder / "tickets" / "corpus.jsonl", [{"_id": f"d{at}", "text": doc} for at, doc in enumerate(documents)])
    asked = chosen.sample(range(400), 60)
    lines(folder / "tickets" / "queries.jsonl",
          [{"_id": f"q{at}", "text": " ".join(documents[at].split()[:4])} for at in asked])  # fmt: skip
    lines(folder / "tickets" / "qrels" / "test.jsonl",
          [{"query-id": f"q{at}", "corpus-id": f"d{at}", "score": 1} for at in asked])  # fmt: skip
    lines(folder / "pairs" / "test.jsonl",
          [{"sentence1": text(5), "sentence2": text(5), "score": chosen.random()} for _ in range(60)])  # fmt: skip
    for split, count in (("train", 40), ("test", 40)):
        lines(folder / "topics" / f"{split}.jsonl",
              [{"text": text(5), "label": at % 2} for at in range(count)])  # fmt: skip
    (folder / "suite.toml").write_text(SUITE)
    (folder / "models.toml").write_text('[one]\npath = "one"\n[two]\npath = "two"\n')
    run(folder, "recorded", baseline="record")
    return folder


def options_of(folder: Path, store: str, **typed: Any) -> Options:
    given = {"suites": ["suite.toml"], "models_files": "models.toml", "device": "cpu", "store": store} | typed
    return Options.parse(given, root=folder, cwd=folder)


def run(folder: Path, store: str, selected: Sequence[str] = (), **typed: Any) -> Finished:
    """Do what the plug-in does, in this process."""
    session = open_session(options_of(folder, store, **typed))
    session.store.make()
    ids = [case.id for case in session.plan.cases if not selected or case.task.name in selected]
    own = ids if session.shard is None else session.take_shard(reversed(ids))
    session.expect(own)
    for case in session.plan.cases:
        if case.id in own:
            session.add(_record(session, case))
    return session.finish()


def _record(session: Any, case: Any) -> Record:
    try:
        with session.measure(case, lambda _: None) as measured:
            comparison = session.compare(case, measured)
            verdict = session.judge(case, measured.outcome, comparison)
            return make_record(case, measured.outcome, verdict, None, comparison.shown)
    except UnfinishedError as error:
        return replace(make_record(case, None, None, None), reason=str(error))
    except TouchstoneError as error:
        return make_record(case, None, None, str(error))


def said(record: Record) -> dict[str, Any]:
    """Return a record without what depends on time, and on what a store had before."""
    return {name: value for name, value in flatten(record).items()
            if name not in ("seconds", "phases", "speed", "encoded", "reused")}  # fmt: skip


def merged(stores: Sequence[Path]) -> Run:
    return merge_shards(find_shards(stores))[0]


@pytest.fixture(scope="module")
def whole(project: Path) -> Run:
    return run(project, "whole").run


@pytest.fixture(scope="module")
def shards(project: Path, whole: Run) -> dict[int, list[Path]]:
    """The stores of runs in two, three and eight shards."""
    found: dict[int, list[Path]] = {}
    for of in (1, 2, 3, 8):
        found[of] = [project / f"of{of}-{number}" for number in range(1, of + 1)]
        for number, store in enumerate(found[of], 1):
            # What the vectors are does not depend on the shard: they are copied to be there at once.
            shutil.copytree(project / "whole" / "embeddings", store / "embeddings", dirs_exist_ok=True)
            finished = run(project, store.name, shard=f"{number}/{of}")
            assert finished.exit_code == 0
            assert finished.run.suites == ()
            assert "nothing is decided until all shards are there: touchstone merge" in finished.notes[-1]
    return found


@pytest.mark.parametrize("of", [1, 2, 3, 8])
def test_shards_in_any_order_say_what_one_run_says(
    project: Path, whole: Run, shards: dict[int, list[Path]], of: int
) -> None:
    orders = list(permutations(shards[of]))
    first = merged(shards[of])
    assert [said(record) for record in first.records] == [said(record) for record in whole.records]
    assert first.suites == whole.suites
    assert first.environment == whole.environment
    for order in random.Random(of).sample(orders, min(len(orders), 12)):
        assert flatten(merged(order)) == flatten(first)


def test_every_case_is_in_one_shard(shards: dict[int, list[Path]], whole: Run) -> None:
    for stores in shards.values():
        runs = [one.run for one in find_shards(stores)]
        cases = sorted(case for run in runs if run.shard is not None for case in run.shard.cases)
        assert cases == sorted(record.case for record in whole.records)
        assert len({run.shard.plan for run in runs if run.shard is not None}) == 1


def test_the_command_judges_gathers_and_writes_the_same_bytes(
    project: Path, shards: dict[int, list[Path]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    kept = []
    for name, order in (("m1", shards[3]), ("m2", shards[3][::-1])):
        assert main(["merge", *map(str, order), "--into", name, "--report", f"{name}.json"]) == 0
        files = sorted(path for path in (project / name).rglob("*") if path.is_file())
        kept.append({path.relative_to(project / name): path.read_bytes() for path in files})
    assert kept[0] == kept[1]
    text = capsys.readouterr().out
    assert "6 of 6 cases measured, by 3 of 3 shards" in text
    assert "one: PASS" in text
    whole = read_run(project / "m1.json")
    assert whole.shard is None
    # A later run of everything on what was gathered measures nothing again.
    again = run(project, "m1").run
    assert all(record.reused for record in again.records)


def test_a_shard_that_is_missing_makes_the_run_incomplete(
    project: Path, shards: dict[int, list[Path]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    assert main(["merge", *map(str, shards[3][:2]), "--into", "incomplete"]) == 1
    text = capsys.readouterr().out
    assert "shard 3/3 is not there" in text
    assert "INCOMPLETE: not measured:" in text


def test_shards_of_other_plans_are_refused(project: Path, shards: dict[int, list[Path]]) -> None:
    others = [
        shards[2][0],
        *(
            _other(project, f"other{number}", **typed)
            for number, typed in enumerate(({"margin": "0.02"}, {"limit": "20"}, {"baseline": "off"}))
        ),
    ]
    for other in others:
        with pytest.raises(ConfigError, match="is not of the run of shard"):
            find_shards([*shards[3], other])


def _other(project: Path, store: str, **typed: Any) -> Path:
    run(project, store, shard="1/3", **typed)
    return project / store


def test_a_selection_is_another_plan(project: Path, shards: dict[int, list[Path]]) -> None:
    run(project, "selected", ["Pairs"], shard="1/3")
    with pytest.raises(ConfigError, match="is not of the run of shard"):
        find_shards([*shards[3], project / "selected"])


def test_samples_that_are_damaged_are_an_error_of_their_case(
    project: Path, shards: dict[int, list[Path]], tmp_path: Path
) -> None:
    stores = [Path(shutil.copytree(store, tmp_path / store.name)) for store in shards[3]]
    file = sorted((stores[0] / "samples").rglob("*.blob"))[0]
    file.write_bytes(file.read_bytes()[:-3])
    run = merged(stores)
    (bad,) = (record for record in run.records if record.error is not None)
    assert "are damaged or gone; run that shard again" in str(bad.error)
    assert (bad.score, bad.outcome) == (None, "error")


def test_a_record_that_is_damaged_is_one_sentence(shards: dict[int, list[Path]], tmp_path: Path) -> None:
    store = Path(shutil.copytree(shards[2][0], tmp_path / "store"))
    (file,) = (store / "runs").glob("*.json")
    file.write_text(file.read_text()[:-20])
    with pytest.raises(BaselineError, match=str(file)):
        find_shards([store, shards[2][1]])


def test_a_shard_is_no_run_for_whoever_reads_runs(shards: dict[int, list[Path]]) -> None:
    (file,) = (shards[2][0] / "runs").glob("*.json")
    with pytest.raises(BaselineError, match="is shard 1/2 of a run and decides nothing"):
        read_run(file)
    assert read_any_run(file).shard is not None


def test_a_regression_in_any_shard_fails_the_merge(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    stores = []
    for number in (1, 2):
        finished = run(project, f"worse{number}", shard=f"{number}/2", against="one", models=["two"])
        assert finished.exit_code == 0  # whatever it found
        stores.append(f"worse{number}")
    one = run(project, "worse", against="one", models=["two"])
    assert main(["merge", *stores, "--into", "worse-merged", "--report", "worse.html"]) == one.exit_code
    assert "lost or gained: all in a list" in (project / "worse.html").read_text()
    (file,) = (project / "worse-merged" / "runs").glob("*.json")
    assert [said(record) for record in read_run(file).records] == [said(record) for record in one.run.records]
    assert read_run(file).suites == one.run.suites


def test_a_case_that_cannot_be_measured_ends_its_shard_with_1(project: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(project, tmp_path / "broken"))
    (folder / "pairs" / "test.jsonl").write_text("{}\n")
    codes = {number: run(folder, f"b{number}", shard=f"{number}/2").exit_code for number in (1, 2)}
    assert 1 in codes.values()
    stores = [folder / "b1", folder / "b2"]
    assert {record.outcome for record in merged(stores).records if record.task == "Pairs"} == {"error"}


def test_baselines_are_written_once_by_the_merge(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(project, tmp_path / "fresh"))
    before = {path.name: path.read_bytes() for path in (folder / "baselines").glob("*.json")}
    shutil.rmtree(folder / "baselines")
    for number in (1, 2):
        shutil.copytree(folder / "recorded" / "embeddings", folder / f"r{number}" / "embeddings")
        run(folder, f"r{number}", shard=f"{number}/2", baseline="record")
    assert not (folder / "baselines").exists()
    monkeypatch.chdir(folder)
    main(["merge", "r1", "r2", "--into", "all"])
    assert {path.name: path.read_bytes() for path in (folder / "baselines").glob("*.json")} == before


def test_a_corpus_that_is_divided_scores_what_it_scores_whole(project: Path, whole: Run) -> None:
    """The shard that comes last finds the parts of the others in the store that they share."""
    codes, waiting = [], 0
    for number in (1, 2, 3):
        finished = run(project, "divided", ["Tickets"], shard=f"{number}/3", split_texts="150")
        codes.append(finished.exit_code)
        waiting += sum("are not in" in str(record.reason) for record in finished.run.records)
    assert (codes, waiting) == ([0, 0, 0], 2)  # each model's parts are in two shards, and the first has to wait
    found = merged([project / "divided"])
    alone = run(project, "tickets alone", ["Tickets"]).run
    assert [said(record) for record in found.records] == [said(record) for record in alone.records]
    assert found.suites == alone.suites


def test_parts_in_stores_that_nobody_shares_are_never_a_score(project: Path) -> None:
    stores = [project / f"apart{number}" for number in (1, 2, 3)]
    for number, store in enumerate(stores, 1):
        assert run(project, store.name, ["Tickets"], shard=f"{number}/3", split_texts="150").exit_code == 0
    found = merged(stores)
    assert {(record.outcome, record.score) for record in found.records} == {("not measured", None)}


class TestMerge:
    """What two shards say of one case, and of one alias."""

    def run(self, folder: Path, number: int, *records: Record, started: str = "2026-11-21T12:00:00+00:00") -> ShardRun:
        shard = Shard(number=number, of=2, plan="0123456789abcdef", cases=tuple(r.case for r in records if r.score))
        run = replace(make_run(*records), shard=shard, started=started)
        content = json.dumps(flatten(run))
        return ShardRun(store=Store(folder), run=read_content(content.encode(), "x"))

    def test_equal_ones_are_one_and_different_ones_an_error(self, tmp_path: Path) -> None:
        row, other = make_row("STS12", score=0.8), make_row("STS12", score=0.81)
        equal, _ = merge_shards([self.run(tmp_path, 1, row), self.run(tmp_path, 2, row)])
        assert [record.score for record in equal.records] == [0.8]
        found, _ = merge_shards([self.run(tmp_path, 1, row), self.run(tmp_path, 2, other)])
        assert [record.score for record in found.records] == [None]
        assert "measured twice, and not alike: 80.00" in str(found.records[0].error)

    def test_what_was_measured_wins_over_what_could_not_be(self, tmp_path: Path) -> None:
        bad, row = make_row("STS12", outcome="error", error="CUDA"), make_row("STS12", score=0.8)
        none = make_row("STS12", outcome="not measured")
        for rows, score in (((bad, row), 0.8), ((none, row), 0.8), ((none, bad), None)):
            found, _ = merge_shards([self.run(tmp_path, at, one) for at, one in enumerate(rows, 1)])
            assert found.records[0].score == score
            assert found.records[0].error == (None if score else "CUDA")

    def test_one_alias_is_one_model(self, tmp_path: Path) -> None:
        rows = [make_row("STS12", score=0.8, fingerprint="0123456789ab"),
                make_row("STS13", score=0.7, fingerprint="ba9876543210")]  # fmt: skip
        blank = [make_row(row.task, outcome="not measured") for row in rows]
        found, _ = merge_shards([self.run(tmp_path, 1, rows[0], blank[1]), self.run(tmp_path, 2, blank[0], rows[1])])
        assert [record.score for record in found.records] == [0.8, None]
        assert "minilm is another model here than in minilm:STS12" in str(found.records[1].error)

    def test_it_is_judged_at_the_level_of_all(self, tmp_path: Path) -> None:
        found, notes = merge_shards([self.run(tmp_path, 1, make_row("STS12", score=0.8))])
        assert found.suites == judge_models(found.records)
        assert found.shard is None
        assert notes == ("1 of 1 case measured, by 1 of 2 shards", "shard 2/2 is not there")


def test_a_shard_of_days_ago_is_told_of(tmp_path: Path) -> None:
    rows = [make_row("STS12", score=0.8), make_row("STS13", outcome="not measured")]
    shards = [TestMerge().run(tmp_path, number, *rows, started=f"2026-11-{day}T12:00:00+00:00")
              for number, day in ((1, "20"), (2, "22"))]  # fmt: skip
    _, notes = merge_shards(shards)
    assert notes[-1] == "shard 1/2 is of 2026-11-20T12:00:00+00:00, more than a day before the newest"


def test_costs_decide_and_are_part_of_the_plan(project: Path, tmp_path: Path) -> None:
    costs = {"one:Tickets": 100.0, "one:Pairs": 1.0, "one:Topics": 1.0, "two:Tickets": 1.0, "two:Pairs": 1.0,
             "two:Topics": 1.0}  # fmt: skip
    write_costs(tmp_path / "costs.json", costs)
    assert read_costs(tmp_path / "costs.json") == costs
    options = options_of(project, "none", costs=str(tmp_path / "costs.json"))
    plan = find_cases(options)
    ids = [case.id for case in plan.cases]
    found = [cut(Shard(number=number, of=2), plan, ids, options) for number in (1, 2)]
    assert {one.cases for one in found} == {("one:Tickets",), tuple(id_ for id_ in ids if id_ != "one:Tickets")}
    assert cut(Shard(number=1, of=2), plan, ids[::-1], options) == found[0]
    assert cut(Shard(number=1, of=2), plan, ids, options_of(project, "none")).plan != found[0].plan


@pytest.mark.parametrize(
    ("content", "expected"),
    [("[]", "expected"), ('{"seconds": {"a:B": -1}}', "expected seconds, 0 or more"), ("{", "JSON"),
     ('{"seconds": {}, "more": 1}', "more"), ('{"seconds": {"a:B": "1"}}', "number")],
)  # fmt: skip
def test_a_file_of_costs_that_is_none_is_one_sentence(content: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "costs.json").write_text(content)
    with pytest.raises(ConfigError, match=expected) as caught:
        read_costs(tmp_path / "costs.json")
    assert str(tmp_path) in str(caught.value)


def test_a_report_of_a_shard_is_refused(project: Path) -> None:
    with pytest.raises(ConfigError, match="give it to touchstone merge"):
        options_of(project, "none", shard="1/2", reports=["run.html"])


def test_a_model_behind_an_api_is_not_cut_unless_it_is_said_to_stay_the_same(project: Path) -> None:
    typed = {"models": ["api:http://127.0.0.1:9/v1#served"], "shard": "1/2"}
    with pytest.raises(ConfigError, match="is behind an API, and no shard knows that another one asks the same"):
        _cut(project, **typed)
    assert _cut(project, **typed, reuse_api=True).plan
    assert _cut(project, **typed | {"shard": "1/1"}).plan


def _cut(folder: Path, **typed: Any) -> Shard:
    options = options_of(folder, "none", **typed)
    plan = find_cases(options)
    assert options.shard is not None
    return cut(options.shard, plan, [case.id for case in plan.cases], options)


@pytest.mark.parametrize(
    ("most", "workers", "expected"),
    [(400, 3, 1), (399, 3, 3), (150, 2, 3), (150, 3, 3), (150, 8, 8), (150, 64, 27), (10, 3, 40), (399, 1, 2)],
)
def test_a_part_is_never_larger_than_what_is_not_divided(project: Path, most: int, workers: int, expected: int) -> None:
    plan = find_cases(options_of(project, "none"))
    (case,) = (case for case in plan.cases if case.id == "one:Tickets")
    assert count_parts(case, plan.models["one"], most, workers) == expected


def test_what_is_limited_or_not_searched_or_depends_on_the_whole_is_not_divided(project: Path) -> None:
    plan = find_cases(options_of(project, "none"))
    cases = {case.task.name: case for case in plan.cases if case.alias == "one"}
    assert count_parts(replace(cases["Tickets"], limit=10), plan.models["one"], 10, 3) == 1
    assert count_parts(cases["Pairs"], plan.models["one"], 10, 3) == 1
    for text in ("bm25", "one@quantize=mteb-int8"):
        other = find_cases(options_of(project, "none", models=[text], tasks=["Tickets"]))
        (case,) = other.cases
        assert count_parts(case, other.models[case.alias], 10, 3) == 1
