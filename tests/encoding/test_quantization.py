"""Quantized vectors: what faiss keeps of them, ranges that depend on no call, variants that encode nothing anew."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.encoders import save_tiny_model
from touchstone.config.models import find_model, load_models
from touchstone.encoding.meter import Meter
from touchstone.encoding.quantization import BITS, Quantizer, calibrate
from touchstone.models.base import OpenModel
from touchstone.models.kinds import open_encoder
from touchstone.models.weights.calibration import read_sample
from touchstone.store.folder import Store

RNG = np.random.default_rng(5)
SAMPLE, VECTORS = (RNG.normal(size=(count, 24)).astype(np.float32) for count in (300, 50))


def test_integers_are_what_a_scalar_quantizer_of_faiss_gives_back() -> None:
    theirs = faiss.IndexScalarQuantizer(24, faiss.ScalarQuantizer.QT_8bit)
    theirs.train(SAMPLE)
    assert (SAMPLE.min(0) > VECTORS.min(0)).any(), "some numbers must lie outside of the ranges"
    read = theirs.sa_decode(theirs.sa_encode(VECTORS))
    for precision in ("int8", "uint8"):
        np.testing.assert_allclose(calibrate(precision, SAMPLE)(VECTORS), read, atol=2e-6)


def test_signs_rank_as_the_hamming_distance_of_faiss_does() -> None:
    documents, queries = np.packbits(SAMPLE > 0, axis=1), np.packbits(VECTORS > 0, axis=1)
    index = faiss.IndexBinaryFlat(24)
    index.add(documents)
    distances, found = index.search(queries, 300)
    quantizer = calibrate("binary", SAMPLE)
    products = quantizer(VECTORS) @ quantizer(SAMPLE).T
    assert (24 - 2 * distances == np.take_along_axis(products, found, 1)).all()


def test_halves_are_rounded_and_zero_is_no_positive_number() -> None:
    assert (calibrate("float16", SAMPLE)(VECTORS) == VECTORS.astype(np.float16)).all()
    assert calibrate("binary", SAMPLE)(np.zeros((1, 2), np.float32)).tolist() == [[-1, -1]]
    assert np.isinf(calibrate("float16", SAMPLE)(np.full((1, 1), 1e6, np.float32))).all()


@given(arrays(np.float32, (7, 3), elements=st.floats(-1e6, 1e6, width=32)))
def test_a_number_inside_the_ranges_moves_by_a_step_at_most_and_keeps_its_order(vectors: np.ndarray) -> None:
    read = calibrate("int8", vectors)(vectors)
    step = (vectors.max(0) - vectors.min(0)) / 255
    assert (np.abs(read - vectors) <= step + 1e-6 * np.abs(vectors).max()).all()
    order = np.argsort(vectors[:, 0])
    assert (np.diff(read[order, 0]) >= 0).all()


def open_variant(folder: Path, settings: str, store: str = "store") -> OpenModel:
    if not (folder / "model").exists():
        save_tiny_model(folder / "model")
    (folder / "models.toml").write_text('[tiny]\npath = "model"\n')
    model = find_model(f"tiny{settings}", load_models(folder / "models.toml"), folder, "--model")
    return open_encoder(model, "cpu", Store(folder / store))


def encode(opened: OpenModel, texts: list[str], meter: Meter) -> np.ndarray:
    assert opened.encoder is not None
    return np.asarray(opened.encoder.encode(texts, prompt="", meter=meter))


@pytest.mark.parametrize("precision", [name for name in BITS if name != "float32"])
def test_a_text_is_quantized_alike_whatever_is_encoded_with_it(precision: str, tmp_path: Path) -> None:
    opened = open_variant(tmp_path, f"@quantize={precision}")
    texts = [f"rain {number} falls on the river" for number in range(40)]
    together = encode(opened, texts, Meter())
    alone = np.concatenate([encode(opened, [text], Meter()) for text in texts])
    assert (together == alone).all()


def test_variants_of_what_was_encoded_encode_nothing(tmp_path: Path) -> None:
    texts = [f"rain {number} falls on the river" for number in range(40)]
    plain = open_variant(tmp_path, "")
    whole = encode(plain, texts, Meter())
    assert plain.encoder is not None
    plain.encoder.flush()
    for settings in ("truncate_dim=8", "normalize=true", "truncate_dim=8,quantize=binary", "quantize=int8"):
        meter = Meter()
        ours = encode(open_variant(tmp_path, f"@{settings}"), texts, meter)
        assert not meter.computed
        own = encode(open_variant(tmp_path, f"@{settings}", f"store {settings}"), texts, Meter())
        np.testing.assert_allclose(ours, own, atol=1e-6)
        assert settings == "normalize=true" or (ours != whole[:, : ours.shape[1]]).any() or "quantize" not in settings


def test_ranges_are_recorded_and_part_of_who_a_model_is(tmp_path: Path) -> None:
    opened = {one: open_variant(tmp_path, f"@quantize={one}") for one in ("int8", "uint8", "binary", "mteb-int8")}
    assert opened["int8"].settings.quantize == f"int8, ranges of the embedded articles, {read_sample()[1]}"
    assert {name: one.quantize for name, one in opened.items()} == {
        "int8": None, "uint8": None, "binary": None, "mteb-int8": "mteb-int8"
    }  # fmt: skip
    assert len({one.identity.fingerprint for one in opened.values()}) == 4


def test_the_sample_is_what_the_package_carries() -> None:
    texts, _ = read_sample()
    assert {role: len(found) for role, found in texts.items()} == {"document": 150, "query": 151}
    assert all(text.strip() for found in texts.values() for text in found)
    assert Quantizer("float32")(VECTORS) is VECTORS


def test_ranges_are_of_queries_and_documents_alike(tmp_path: Path) -> None:
    texts = [text for found in read_sample()[0].values() for text in found]
    vectors = encode(open_variant(tmp_path, ""), texts, Meter())
    made: Any = open_variant(tmp_path, "@quantize=int8").encoder
    np.testing.assert_allclose(made.quantize.least, vectors.min(0), atol=1e-6)
    np.testing.assert_allclose(made.quantize.least + made.quantize.span, vectors.max(0), atol=1e-6)
    assert (vectors[:150].min(0) > vectors[150:].min(0)).any()
    assert (vectors[:150].min(0) < vectors[150:].min(0)).any()
