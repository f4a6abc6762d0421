"""Samples: canonical bytes, exact numbers, ids that survive reordering, and the score from the file alone."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.encoders import save_tiny_model
from touchstone.config.models import find_model, load_models
from touchstone.config.suites import Selection
from touchstone.errors import TouchstoneError
from touchstone.files.writing import to_json
from touchstone.measuring.case import measure
from touchstone.models.kinds import open_encoder
from touchstone.records.cases import Case, Source
from touchstone.records.names import name_unit
from touchstone.records.samples import (
    MAX_NUMBER,
    MAX_UNIT_LENGTH,
    MAX_UNITS,
    Samples,
    decode_samples,
    encode_samples,
    gather,
    read_samples,
    restrict,
)
from touchstone.store.folder import Store
from touchstone.task_types.base import text_ids
from touchstone.task_types.registry import rescore
from touchstone.tasks.catalog import find_tasks

# An array of texts drops the zeros at their ends.
FIELD_TEXTS = st.text(max_size=6).map(lambda text: text.rstrip("\0"))
NUMBERS = st.floats(-MAX_NUMBER, MAX_NUMBER)


def same(one: Samples, two: Samples) -> bool:
    columns = ("stratum", "id", "value", "prediction", "gold")
    pairs = [(getattr(one, name), getattr(two, name)) for name in columns]
    return (
        (one.type, one.metric, one.top, one.units) == (two.type, two.metric, two.top, two.units)
        and one.fields.keys() == two.fields.keys()
        and all(np.array_equal(one.fields[name], two.fields[name]) for name in one.fields)
        and all((a is None) == (b is None) for a, b in pairs)
        and all(np.array_equal(a, b) for a, b in pairs if a is not None)
    )


@st.composite
def samples(draw: st.DrawFn) -> Samples:
    n = draw(st.integers(1, 12))
    column = st.lists(NUMBERS, min_size=n, max_size=n)
    kind = draw(st.sampled_from(["value", "prediction", "labels", "top"]))
    ids = np.array([f"{number:03}" for number in range(n)])
    strata = np.array(sorted(draw(st.lists(st.sampled_from(["dev/a", "test/b"]), min_size=n, max_size=n))))
    columns: dict[str, Any] = {}
    if kind == "value":
        columns["value"] = np.array(draw(column))
    elif kind == "prediction":
        columns["prediction"] = np.array([draw(column), draw(column)]).T
        columns["gold"] = np.array(draw(column))
    elif kind == "labels":
        columns["gold"] = np.array(draw(st.lists(st.integers(-300, 70_000), min_size=n, max_size=n)))
        columns["prediction"] = np.array(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)))[:, None]
    else:
        columns["value"] = np.array(draw(column))
        columns["top"] = draw(st.lists(st.lists(st.text(max_size=4), max_size=3), min_size=n, max_size=n))
    if draw(st.booleans()):
        some = st.lists(st.text(min_size=1, max_size=MAX_UNIT_LENGTH), min_size=1, max_size=MAX_UNITS)
        columns["units"] = draw(st.lists(some, min_size=n, max_size=n))
    kinds = (st.integers(-(1 << 53), 1 << 53), st.floats(allow_nan=False, allow_infinity=False), FIELD_TEXTS)
    names = draw(st.lists(st.sampled_from(["length", "language", "a.list", "9+-_.x", "L" * 128]), unique=True))
    columns["fields"] = {
        name: np.array(draw(st.lists(draw(st.sampled_from(kinds)), min_size=n, max_size=n))) for name in names
    }
    return Samples(type="STS", metric="m", stratum=strata, id=ids, **columns)


@given(samples())
def test_what_was_written_is_read_back_exactly_and_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, written: Samples
) -> None:
    path = tmp_path_factory.getbasetemp() / "samples.parquet"
    path.write_bytes(encode_samples(written))
    first = path.read_bytes()
    again = read_samples(path)
    assert same(again, written)
    path.write_bytes(encode_samples(again))
    assert path.read_bytes() == first


@given(samples(), st.randoms(use_true_random=False))
def test_order_of_rows_and_strata_does_not_matter(written: Samples, shuffler: random.Random) -> None:
    order = list(range(len(written)))
    shuffler.shuffle(order)
    shuffled = Samples(
        type=written.type,
        metric=written.metric,
        **{
            name: getattr(written, name)[order]
            for name in ("stratum", "id", "value", "prediction", "gold")
            if getattr(written, name) is not None
        },
        top=None if written.top is None else [written.top[index] for index in order],
        units=None if written.units is None else [written.units[index] for index in order],
        fields={name: column[order] for name, column in reversed([*written.fields.items()])},
    )
    assert same(gather([shuffled]), gather([written]))


@given(samples())
def test_the_order_of_fields_changes_no_byte(written: Samples) -> None:
    turned = replace(written, fields=dict(reversed([*written.fields.items()])))
    assert encode_samples(turned) == encode_samples(written)


def stratum(name: str, *ids: str, **more: Any) -> Samples:
    return Samples(type="STS", metric="m", stratum=np.full(len(ids), name), id=np.array(ids), value=np.zeros(len(ids)),
                   **more)  # fmt: skip


def test_samples_of_a_stratum_without_units_get_one_each() -> None:
    whole = gather([stratum("test/a", "1", units=[["u"]]), stratum("test/b", "1", "2")])
    assert whole.units == [["u"], [name_unit("1")], [name_unit("2")]]
    assert gather([stratum("test/a", "1"), stratum("test/b", "1")]).units is None


def test_fields_are_those_that_every_stratum_has() -> None:
    first = stratum("test/b", "1", fields={"length": np.array([7]), "topic": np.array(["x"])})
    second = stratum("test/a", "1", "2", fields={"length": np.array([3, 4])})
    whole = gather([first, second])
    assert {name: column.tolist() for name, column in whole.fields.items()} == {"length": [3, 4, 7]}


def test_strata_that_are_kept_keep_their_units_and_fields() -> None:
    parts = [stratum(f"test/{name}", "1", units=[[name]], fields={"language": np.array([name])}) for name in "ab"]
    kept = restrict(gather(parts), parts[1])
    assert (kept.units, kept.fields["language"].tolist()) == ([["b"]], ["b"])


def test_a_file_of_before_there_were_units_and_fields_is_read() -> None:
    again = decode_samples(encode_samples(stratum("test/a", "1")), "x")
    assert (again.units, again.fields) == (None, {})


def test_equal_texts_get_different_ids_and_different_texts_too() -> None:
    ids = text_ids(["a", "b", "a", "a"], ["x", "y", "x", "z"])
    assert len(set(ids)) == 4
    assert ids[2] == f"{ids[0]}#1"


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all"])
def test_damaged_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    with pytest.raises(TouchstoneError, match=r"x\.parquet: not a file of samples: "):
        read_samples(path)


def test_truncated_file_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    ids = np.array([f"{number:05}" for number in range(500)])
    kept = Samples(type="STS", metric="m", stratum=np.full(500, "s"), id=ids, value=np.linspace(0, 1, 500))
    path.write_bytes(encode_samples(kept))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TouchstoneError, match="not a file of samples: "):
        read_samples(path)


NARROWED: dict[str, tuple[str, ...]] = {
    "STSBenchmark": (),
    "BIOSSES": (),
    "STS13": (),
    "STS16": (),
    "SICK-R": (),
    "FarsTail": (),
    "Banking77Classification": (),
    "AmazonCounterfactualClassification": ("en",),
    "RTE3": ("en",),
    "SIB200Classification": ("eng_Latn",),
    "TweetSentimentClassification": ("english",),
    "XQuADRetrieval": ("en",),
    "Tatoeba": ("deu-eng",),
    "SIB200ClusteringS2S": ("eng_Latn",),
    "MasakhaNEWSClusteringS2S": ("eng",),
    "SummEval": (),
    "SummEvalSummarization.v2": (),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = save_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    model = find_model(f"{folder}=tiny", load_models(), Path.cwd(), "--model")
    return open_encoder(model, "cpu", Store(tmp_path_factory.mktemp("store")))


@pytest.mark.parametrize("name", NARROWED)
def test_stored_file_alone_gives_the_score_and_is_small(name: str, mirror: Path, tiny: Any, tmp_path: Path) -> None:
    (info,) = find_tasks(Selection(include=(name,)), "test")
    info = replace(info, subsets=NARROWED[name] or info.subsets, splits=info.splits[-1:])
    case = Case(alias="tiny", task=info, suite="test", source=Source(kind="mirror", path=mirror))
    with measure(case, tiny, Store(tmp_path), lambda _: None) as opened:
        kept, measurement = opened.samples, opened.outcome.measurement
    assert kept is not None
    assert (kept.units is None) == (kept.type == "Clustering")
    assert kept.fields.keys() == ({"language"} if kept.type == "Clustering" else {"language", "length"})
    path = tmp_path / "samples.parquet"
    path.write_bytes(encode_samples(kept))
    again = read_samples(path)
    assert rescore(again) == pytest.approx(measurement.subsets, abs=1e-5)
    if len(again) >= 200:
        bare = replace(again, units=None)
        assert len(encode_samples(bare)) <= len(as_json(bare)) / 10
        # Names of units are as random as can be; each takes its 5 bytes, and 1 or 2 to be told from the others.
        assert path.stat().st_size <= len(encode_samples(bare)) + 8 * sum(map(len, again.units or ()))


def as_json(kept: Samples) -> str:
    """Write samples as this project writes JSON."""
    rows = []
    for i in range(len(kept)):
        row: dict[str, Any] = {"stratum": str(kept.stratum[i]), "id": str(kept.id[i])}
        row |= {
            n: getattr(kept, n)[i].tolist() for n in ("value", "prediction", "gold") if getattr(kept, n) is not None
        }
        row |= {} if kept.top is None else {"top": list(kept.top[i])}
        row |= {} if kept.units is None else {"units": list(kept.units[i])}
        row |= {name: column[i].tolist() for name, column in kept.fields.items()}
        rows.append(row)
    return to_json(rows)
