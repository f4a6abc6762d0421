import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from statistics import fmean
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

import touchstone.baselines.files
from tests.builders import (
    ENV,
    MODEL,
    REVISION,
    compared,
    make_baseline_file,
    make_case,
    make_identity,
    make_outcome,
    make_row,
)
from tests.builders import make_baseline as make_entry
from touchstone.baselines.files import Baselines, load_baseline_file, make_baseline, render_baseline_file
from touchstone.errors import BaselineError
from touchstone.files.writing import write_atomically
from touchstone.judging.gate import judge
from touchstone.records.baselines import Baseline, BaselineFile
from touchstone.records.names import NAME, baseline_key
from touchstone.records.names import REVISION as REVISIONS
from touchstone.records.outcomes import Measurement, Settings
from touchstone.records.runs import Record, make_record
from touchstone.store.folder import Store

STORE = Store(Path("no samples here"))

ROOT = Path(__file__).parent.parent.parent


def measured(task: str = "STSBenchmark", score: float = 0.82, *, alias: str = "minilm", **changes: Any) -> Record:
    known: dict[str, Any] = {"score": score, "subsets": {"test/default": score}, "fingerprint": "0123456789ab"}
    known |= {"chance": 0.0, "recomputed": score}  # a run says these, a baseline does not
    return make_row(task, alias=alias, **known | changes)


def put(folder: Path, alias: str, tasks: Mapping[str, Baseline], **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{alias}.json"
    path.write_text(render_baseline_file(make_baseline_file(tasks, **changes)), encoding="utf-8")
    return path


def entry_text(text: str, key: str) -> str:
    """Cut an entry's bytes out of a baseline file, whose tasks are the last of it."""
    start = text.rindex(f'\n    "{key}": {{')
    return text[start : text.index("\n    }", start)]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


@pytest.fixture
def built_in(tmp_path: Path) -> Path:
    return tmp_path / "built-in"


@pytest.fixture
def baselines(own: Path, built_in: Path) -> Baselines:
    return Baselines(own, built_in)


def on_day(day: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Fixed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls(2026, 11, day, tzinfo=tz)

    monkeypatch.setattr(touchstone.baselines.files, "datetime", Fixed)


fractions = st.floats(-1, 1)
texts = st.none() | st.text(max_size=8)
revisions, hashes = (
    st.none() | st.from_regex(REVISIONS, fullmatch=True),
    st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
)
settings = st.builds(
    Settings,
    prompts=st.none() | st.dictionaries(st.text(max_size=4), st.text(max_size=8), max_size=2),
    pooling=texts,
    max_length=st.none() | st.integers(1, 10**6),
    dtype=texts,
    dimension=st.none() | st.integers(1, 10**5),
    quantize=texts,
)
strata = st.dictionaries(st.text(max_size=8), fractions, min_size=1, max_size=4)
measurements = st.builds(
    lambda subsets, **fields: Measurement(score=fmean(subsets.values()), subsets=subsets, **fields),
    subsets=strata,
    metric=st.text(),
    n=st.none() | st.integers(0, 10**12),
    limit=st.none() | st.integers(1, 10**12),
    dataset_revision=revisions,
    data_sha256=hashes,
    fingerprint=hashes,
    settings=settings,
)
entries = st.builds(
    Baseline,
    measurement=measurements,
    source=st.text(),
    env=st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3),
    recorded=texts,
    samples=hashes,
    gated=st.none() | st.integers(1, 10**12),
    plan=hashes,
)
tasks = st.dictionaries(st.from_regex(NAME, fullmatch=True), entries, max_size=3).map(
    lambda found: {baseline_key(task, entry.limit): entry for task, entry in found.items()}
)
files = st.builds(
    lambda tasks, **fields: BaselineFile(
        tasks=tasks,
        anchors={key: entry for key, entry in tasks.items() if entry.fingerprint is not None},
        moved=dict.fromkeys(tasks, "2026-11-01: other data"),
        **fields,
    ),
    model=st.text(),
    revision=revisions,
    tasks=tasks,
)


@given(files)
def test_any_content_comes_back_from_its_file_and_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: BaselineFile
) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.json"
    text = render_baseline_file(content)
    path.write_bytes(text.encode())

    again = load_baseline_file(path)

    assert again == content
    assert render_baseline_file(again) == text


def test_the_order_of_insertion_does_not_change_a_byte() -> None:
    def content(step: int) -> BaselineFile:
        subsets = dict([("test/en", 0.1), ("test/de", 0.2), ("dev/en", 0.3)][::step])
        tasks = {name: make_entry(subsets, env=dict(list(ENV.items())[::step])) for name in ["b", "a", "C"][::step]}
        return make_baseline_file(tasks)

    text = render_baseline_file(content(1))

    assert text == render_baseline_file(content(-1))
    assert text.startswith('{\n  "model": ')
    assert text.endswith("}\n")


def test_records_make_the_same_file_in_whatever_order_they_come(tmp_path: Path) -> None:
    records = [measured("STS13"), measured("NFCorpus", 0.3), measured("NFCorpus", 0.4, limit=100)]
    for name, order in (("one", records), ("two", records[::-1])):
        Baselines(tmp_path / name, tmp_path).write(order, ENV, STORE)

    text = (tmp_path / "one" / "minilm.json").read_bytes()

    assert text == (tmp_path / "two" / "minilm.json").read_bytes()
    assert set(json.loads(text)["tasks"]) == {"STS13", "NFCorpus", "NFCorpus?limit=100"}


def test_what_is_written_is_found_again_and_its_own_measurement_passes(own: Path, built_in: Path) -> None:
    case = make_case("Clustering")
    outcome = make_outcome({"test/en": 0.1, "test/de": 0.7}, settings=Settings(prompts={"query": "q: "}, dimension=384))
    record = make_record(case, outcome, None, None)
    written = Baselines(own, built_in).write([record], {**ENV, "python": "3.11.9"}, STORE)

    reference = Baselines(own, built_in).find("minilm", case.key)

    assert written == [own / "minilm.json"]
    assert reference is not None
    assert (reference.alias, reference.model, reference.revision) == ("minilm", MODEL, REVISION)
    assert reference.baseline == replace(make_baseline(record, ENV), recorded=reference.baseline.recorded)
    assert judge(case, outcome, compared(reference)).delta == 0


def test_an_entry_says_the_day_it_was_recorded_in_universal_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_baseline(measured(), ENV).recorded == datetime.now(UTC).date().isoformat()
    on_day(3, monkeypatch)
    assert make_baseline(measured(), ENV).recorded == "2026-11-03"


def test_merging_leaves_every_other_entry_as_it_was(own: Path, baselines: Baselines) -> None:
    others = {"NFCorpus": make_entry(0.31594, n=323), "STS13": make_entry(1.0), "Other.v2": make_entry(1e-9)}
    path = put(own, "minilm", {**others, "STSBenchmark": make_entry(0.5)})
    other_model = put(own, "other", {"STSBenchmark": make_entry(0.4)})
    before, other_before = path.read_text(encoding="utf-8"), other_model.read_bytes()

    assert baselines.write([measured(score=0.82)], ENV, STORE) == [path]
    after = path.read_text(encoding="utf-8")

    assert load_baseline_file(path).tasks["STSBenchmark"].score == 0.82
    assert all(entry_text(after, key) == entry_text(before, key) for key in others)
    assert other_model.read_bytes() == other_before


def test_an_unchanged_measurement_on_another_day_changes_no_byte(
    own: Path, built_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_day(1, monkeypatch)
    Baselines(own, built_in).write([measured("STS13", 0.7), measured()], ENV, STORE)
    path = own / "minilm.json"
    before = path.read_text(encoding="utf-8")
    on_day(2, monkeypatch)

    assert Baselines(own, built_in).write([measured("STS13", 0.7), measured()], ENV, STORE) == []
    assert path.read_text(encoding="utf-8") == before

    assert Baselines(own, built_in).write([measured("STS13", 0.8), measured()], ENV, STORE) == [path]
    after = path.read_text(encoding="utf-8")
    assert '"2026-11-02"' in entry_text(after, "STS13")
    assert entry_text(after, "STSBenchmark") == entry_text(before, "STSBenchmark")


def test_an_entry_of_another_name_is_found_by_its_case_or_by_its_data(own: Path, baselines: Baselines) -> None:
    put(own, "minilm", {
        "HelpDesk": make_entry(0.1), "Tickets": make_entry(0.2, data_sha256="a" * 64),
        "Tickets?limit=3": make_entry(0.2, data_sha256="b" * 64, limit=3),
    })  # fmt: skip

    def found(task: str, alias: str = "minilm", **changes: Any) -> str | None:
        return baselines.find_other_name(alias, task, make_entry(0.3, **changes).measurement)

    assert found("helpdesk") == "HelpDesk"
    assert found("other", data_sha256="a" * 64) == "Tickets"
    assert found("other", data_sha256="b" * 64, limit=3) == "Tickets?limit=3"
    for changes in (
        {}, {"data_sha256": "c" * 64}, {"data_sha256": "a" * 64, "metric": "ap"}, {"data_sha256": "a" * 64, "limit": 3},
        {"data_sha256": "a" * 64, "alias": "jina"},
    ):  # fmt: skip
        assert found("other", **changes) is None
    assert found("helpdesk", limit=3) is None


def test_the_own_folder_wins_for_each_alias_and_task_alone(own: Path, built_in: Path, baselines: Baselines) -> None:
    put(own, "minilm", {"STS13": make_entry(0.1)}, revision="own")
    put(built_in, "minilm", {"STS13": make_entry(0.2), "STS16": make_entry(0.3)})
    put(built_in, "jina", {"STS13": make_entry(0.4)})

    found = {(a, k): baselines.find(a, k) for a in ("minilm", "jina") for k in ("STS13", "STS16")}
    scores = {where: reference and (reference.baseline.score, reference.revision) for where, reference in found.items()}

    assert scores == {
        ("minilm", "STS13"): (0.1, "own"),
        ("minilm", "STS16"): (0.3, REVISION),
        ("jina", "STS13"): (0.4, REVISION),
        ("jina", "STS16"): None,
    }
    assert baselines.entries("minilm") == {key: found["minilm", key] for key in ("STS13", "STS16")}
    assert [baselines.has_own("minilm", key) for key in ("STS13", "STS16")] == [True, False]
    assert baselines.aliases() == ["jina", "minilm"]


def test_a_limited_measurement_is_another_entry(own: Path, baselines: Baselines) -> None:
    put(own, "minilm", {"STSBenchmark": make_entry(0.5)})

    baselines.write([measured(score=0.9, limit=100)], ENV, STORE)

    scores = {key: reference.baseline.score for key, reference in baselines.entries("minilm").items()}
    assert scores == {"STSBenchmark": 0.5, "STSBenchmark?limit=100": 0.9}


def test_imported_numbers_are_never_passed_off_as_another_revisions(own: Path, baselines: Baselines) -> None:
    path = put(own, "minilm", {"STS13": make_entry(0.1, imported=True)}, revision="old")
    before = path.read_bytes()

    with pytest.raises(BaselineError, match=r"STS13 was imported for .* at old, and this run measured .* at new"):
        baselines.write([measured("STS16", revision="new")], ENV, STORE)

    assert path.read_bytes() == before


def test_the_refusal_of_another_models_numbers_names_both_models(own: Path, baselines: Baselines) -> None:
    put(own, "minilm", {"STS13": make_entry(0.1, imported=True)}, model="org/one")

    with pytest.raises(BaselineError, match=r"org/one.*org/two"):
        baselines.write([measured("STS16", model="org/two")], ENV, STORE)


@pytest.mark.parametrize(
    "tasks", [{"STS13": make_entry(imported=True)}, {"STS13": make_entry(), "STS16": make_entry()}]
)
def test_a_new_revision_takes_over_a_file_without_imported_numbers_left(
    tasks: dict[str, Baseline], own: Path, baselines: Baselines
) -> None:
    path = put(own, "minilm", tasks, revision="old")

    baselines.write([measured("STS13", revision="new")], ENV, STORE)

    assert load_baseline_file(path).revision == "new"


def test_an_unmeasured_record_cannot_become_a_baseline(own: Path, baselines: Baselines) -> None:
    with pytest.raises(BaselineError, match="minilm:STSBenchmark was not measured"):
        baselines.write([make_row(outcome="error", error="boom")], ENV, STORE)
    assert not own.exists()


def broken(**entry: Any) -> bytes:
    """Spoil an entry of a good file; None takes a key away."""
    good = {"metric": "cosine_spearman", "score": 0.82, "subsets": {"test/default": 0.82}, "source": "run"}
    kept = {key: value for key, value in {**good, **entry}.items() if value is not None}
    return json.dumps({"schema": 1, "model": MODEL, "tasks": {"STSBenchmark": kept}}).encode()


PLACE = "[tasks.STSBenchmark] "
BROKEN = {
    "cut off": (broken()[:-9], "not JSON"),
    "empty": (b"", "not JSON"),
    "not UTF-8": (b"\xff\xfe", "not UTF-8 at byte 0"),
    "a list": (b"[]", "expected a table"),
    "no model": (b'{"schema": 1, "tasks": {}}', 'needs a key "model"'),
    "another schema": (b'{"schema": 2, "model": "m"}', "schema = 2"),
    "misspelt key": (b'{"model": "m", "revison": "1"}', 'unknown key "revison"; did you mean "revision"?'),
    "text for a score": (broken(score="0.82"), PLACE + 'score = "0.82"; expected a number'),
    "half a sample": (broken(n=1.5), PLACE + "n = 1.5; expected a whole number"),
    "missing key": (broken(metric=None), PLACE + 'needs a key "metric"'),
    "misspelt key of an entry": (broken(scor=0.82), PLACE + 'has an unknown key "scor"; did you mean "score"?'),
    "misspelt setting": (
        broken(settings={"poling": "mean"}),
        '[tasks.STSBenchmark.settings] has an unknown key "poling"; did you mean "pooling"?',
    ),
    "percent": (broken(score=82.03), PLACE + "score = 82.03 is not a fraction; 82.03 percent are 0.8203"),
    "percent of a stratum": (broken(subsets={"test/en": 82.03}), PLACE + "test/en = 82.03 is not a fraction"),
    "NaN": (broken(score=float("nan")), PLACE + "score = nan; expected a number that is finite"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_wrong_file_is_refused_in_one_sentence_with_file_and_place(name: str, own: Path) -> None:
    content, told = BROKEN[name]
    own.mkdir()
    path = own / "minilm.json"
    path.write_bytes(content)

    with pytest.raises(BaselineError) as caught:
        Baselines(own).find("minilm", "STSBenchmark")

    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert told in message
    assert "\n" not in message


def test_an_unknown_alias_is_refused_with_the_nearest_one(own: Path, built_in: Path, baselines: Baselines) -> None:
    put(built_in, "minilm", {})
    put(own, "jina", {})

    baselines.require_alias("jina", "--against")
    baselines.require_alias("minilm", "--against")
    with pytest.raises(BaselineError, match=r'--against = "minlm": no minlm\.json in .*; did you mean "minilm"\?'):
        baselines.require_alias("minlm", "--against")


def test_the_committed_baselines_load_and_hold_the_published_score() -> None:
    content = load_baseline_file(ROOT / "baselines" / "minilm.json")

    assert content.model == MODEL
    assert round(content.tasks["STSBenchmark"].score, 6) == 0.820325
    assert render_baseline_file(content) == (ROOT / "baselines" / "minilm.json").read_text(encoding="utf-8")
    for entry in content.tasks.values():
        assert entry.score == pytest.approx(sum(entry.subsets.values()) / len(entry.subsets), abs=1e-4)


def test_the_built_in_baselines_judge_a_project_without_its_own(own: Path) -> None:
    reference = Baselines(own).find("minilm", "STSBenchmark")

    assert reference is not None
    assert judge(make_case(), make_outcome(0.8203, identity=make_identity()), compared(reference)).word == "pass"


def test_a_refused_write_leaves_the_samples_of_the_old_entry_alone(tmp_path: Path) -> None:
    store, own = Store(tmp_path / "store"), tmp_path / "own"
    baselines = Baselines(own, tmp_path)

    def with_samples(content: bytes, revision: str) -> Record:
        file = store.write_samples("0123456789ab", "STS16.parquet", content)
        return replace(measured("STS16", revision=revision), samples=file)

    baselines.write([with_samples(b"old", "old")], ENV, store)
    (kept,) = (own / "samples" / "minilm").iterdir()
    file = load_baseline_file(own / "minilm.json")
    imported = {**file.tasks, "STS13": make_entry(imported=True)}
    (own / "minilm.json").write_text(render_baseline_file(replace(file, tasks=imported)))
    with pytest.raises(BaselineError, match="was imported for"):
        Baselines(own, tmp_path).write([with_samples(b"new", "new")], ENV, store)
    assert kept.read_bytes() == b"old"


def test_samples_behind_a_link_are_neither_written_nor_removed(tmp_path: Path, own: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "STS16.0123456789ab.parquet").write_bytes(b"precious")
    (own / "samples").mkdir(parents=True)
    (own / "samples" / "minilm").symlink_to(outside)
    with pytest.raises(BaselineError, match="leads out of"):
        Baselines(own, tmp_path).write([measured("STS16")], ENV, STORE)
    assert [path.read_bytes() for path in outside.iterdir()] == [b"precious"]
    assert not (own / "minilm.json").exists()


def test_two_that_read_before_either_wrote_both_count(tmp_path: Path, own: Path) -> None:
    first, second = Baselines(own, tmp_path), Baselines(own, tmp_path)
    for one in (first, second):
        assert one.find("minilm", "STS16") is None  # and so it knows the file as it was
    first.write([measured("STS16")], ENV, STORE)
    second.write([measured("STS13")], ENV, STORE)
    assert set(load_baseline_file(own / "minilm.json").tasks) == {"STS16", "STS13"}


def test_whoever_writes_waits_for_another_who_does(tmp_path: Path, own: Path) -> None:
    baselines, other = Baselines(own, tmp_path), Baselines(own, tmp_path)
    with baselines.writing():
        writer = threading.Thread(target=lambda: other.write([measured("STS13")], ENV, STORE))
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        assert not list(own.iterdir())
    writer.join()
    assert (own / "minilm.json").is_file()


def test_samples_are_named_by_content_and_go_when_nothing_names_them(tmp_path: Path, own: Path) -> None:
    store, baselines, folder = Store(tmp_path / "store"), Baselines(own, tmp_path), own / "samples" / "minilm"
    for content in (b"first", b"old", b"new"):
        file = store.write_samples("0123456789ab", "STS16", content)
        baselines.write([replace(measured("STS16"), samples=file)], ENV, store)
    named = {f"STS16.{hashlib.sha256(content).hexdigest()[:12]}.parquet": content for content in (b"first", b"new")}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == named


@pytest.mark.parametrize("at", ["samples", "JSON"])
def test_a_kill_while_baselines_are_written_leaves_nothing_that_stays(
    at: str, tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, baselines = Store(tmp_path / "store"), Baselines(own, tmp_path)
    record = replace(measured("STS16"), samples=store.write_samples("0123456789ab", "STS16", b"samples"))
    real = write_atomically

    def killed(path: Path, content: Any, staging: Path | None) -> None:
        assert staging == store.folder, "what is half written is not in the committed folder"
        if at == "samples" or path.suffix == ".json":
            raise KeyboardInterrupt
        real(path, content, staging)

    monkeypatch.setattr(touchstone.baselines.files, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        baselines.write([record], ENV, store)
    assert not (own / "minilm.json").exists(), "it would name samples that are not there"
    assert len(list(own.rglob("*.parquet"))) == (at == "JSON")
    monkeypatch.undo()
    other = replace(measured("STS16"), samples=store.write_samples("0123456789ab", "STS16", b"other"))
    Baselines(own, tmp_path).write([other], ENV, store)
    assert [path.read_bytes() for path in own.rglob("*.parquet")] == [b"other"]


def test_baselines_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BaselineError, match=r"file/own: cannot be written: Not a directory$"):
        Baselines(tmp_path / "file" / "own", tmp_path).write([measured("STS16")], ENV, STORE)
