"""A small pinned set of texts and vectors, kept in a file; the same texts alone, in batches, and many at once."""

import base64
import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from touchstone.config.models import Model, load_models
from touchstone.config.options import Options
from touchstone.encoding.canaries import CANARIES
from touchstone.environment import describe_environment
from touchstone.errors import ConfigError, ModelError
from touchstone.files.json import read_json
from touchstone.files.writing import to_json, write_atomically
from touchstone.measuring.mixed import SeenVectors, encode_texts
from touchstone.metrics import geometry
from touchstone.models.api.guessing import Guesses
from touchstone.models.kinds import find_typed, kind_of, open_encoder
from touchstone.models.weights.calibration import read_sample
from touchstone.records.studies import Held
from touchstone.store.folder import Store

FORMAT = 1
# Every so many of the embedded articles and their queries.
SAMPLE_STEP = 10
# Half precision moves vectors by less than this; more is another vector, or another text's.
HALF_PRECISION_DISTANCE = 1e-2
CONCURRENT_TEXTS = 32
Vectors = geometry.Vectors


def pinned_texts() -> list[str]:
    """Return a few texts of many lengths, the longest longer than most models read."""
    texts, _ = read_sample()
    sample = [text for part in texts.values() for text in part[::SAMPLE_STEP]]
    return [*CANARIES, *sample, " ".join(texts["document"][:40])]


def hold_or_check(model: str, file: Path, options: Options, texts: Sequence[str] | None) -> Held:
    """Compare a model's vectors with those in a file, or write the file where there is none.

    Args:
        model: as for ``--model``.
        file: of canaries.
        options: what was typed.
        texts: to be written; None for `pinned_texts`.

    Raises:
        TouchstoneError: the file is damaged, or the model cannot be opened.
    """
    resolved = _find(model, options)
    if not file.exists():
        pinned = list(dict.fromkeys(texts or pinned_texts()))
        vectors = _encode(resolved, pinned, options)
        write_atomically(file, _pack(resolved, pinned, vectors))
        return Held(model=model, texts=len(pinned), ways={}, verdict="interchangeable", reason=f"wrote {file}")
    pinned, before = _unpack(file)
    after = _encode(resolved, pinned, options)
    if after.shape != before.shape:
        reason = f"{after.shape[1]} dimensions, {before.shape[1]} in {file.name}"
        return Held(model=model, texts=len(pinned), ways={}, verdict="re-embed", reason=reason)
    summary, farthest = _tell(before, after, pinned)
    return Held(model=model, texts=len(pinned), ways={file.name: summary}, verdict=_word(farthest), reason=summary)


def probe(model: str, options: Options, texts: Sequence[str] | None) -> Held:
    """Compare the vectors of texts that are asked for one by one, in batches, and for an API many at once.

    Raises:
        TouchstoneError: the model cannot be opened.
    """
    pinned = list(dict.fromkeys(texts or pinned_texts()))
    served = kind_of(_find(model, options)).served
    ways = {"in batches": "concurrency=1" if served else ""}
    ways |= {f"{CONCURRENT_TEXTS} at once": f"batch_size=1,concurrency={CONCURRENT_TEXTS}"} if served else {}
    single = _encode(_find(model, options, "batch_size=1,concurrency=1" if served else "batch_size=1"), pinned, options)
    summaries, farthest = {}, 0.0
    for way, settings in ways.items():
        summaries[way], far = _tell(single, _encode(_find(model, options, settings), pinned, options), pinned)
        farthest = max(farthest, far)
    reason = "; ".join(f"{way}: {summary}" for way, summary in summaries.items())
    return Held(model=model, texts=len(pinned), ways=summaries, verdict=_word(farthest), reason=reason)


def _find(model: str, options: Options, settings: str = "") -> Model:
    joined = f"{model}{',' if '@' in model else '@'}{settings}" if settings else model
    return find_typed(joined, load_models(*options.models_files), options, "MODEL", guess=Guesses())


def _encode(model: Model, texts: Sequence[str], options: Options) -> Vectors:
    """Encode texts anew: what the store has is what once was."""
    store = Store(options.store_folder, run=uuid.uuid4().hex, patience=options.patience)
    opened, seen = open_encoder(model, options.device, store), SeenVectors()
    if opened.encoder is None:
        raise ModelError(f"{model.alias}: code of mteb's encodes, which keeps no pinned vectors; name the model itself")
    with opened.encoder.encoding_anew(opened.batch_size):
        encode_texts(opened, texts, seen)
    return np.stack([seen.rows["", text] for text in texts])


def _tell(before: Vectors, after: Vectors, texts: Sequence[str]) -> tuple[str, float]:
    apart = geometry.distances(before, after)
    return geometry.tell_what_moved(apart, [len(text) for text in texts]), float(apart.max())


def _word(farthest: float) -> Literal["interchangeable", "inconclusive", "re-embed"]:
    if farthest <= geometry.ROUNDING:
        return "interchangeable"
    return "inconclusive" if farthest <= HALF_PRECISION_DISTANCE else "re-embed"


def _pack(model: Model, texts: Sequence[str], vectors: Vectors) -> str:
    """Return the file: texts, vectors as the base64 of little-endian single precision, and a hash of both."""
    rows = [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
    content = {"model": model.alias, "libraries": dict(describe_environment()), "texts": list(texts), "vectors": rows}
    return to_json({"touchstone canaries": FORMAT, "sha256": _hash(texts, rows), **content})


def _hash(texts: Sequence[str], rows: Sequence[str]) -> str:
    return hashlib.sha256(to_json([list(texts), list(rows)]).encode()).hexdigest()


def _unpack(file: Path) -> tuple[list[str], Vectors]:
    """Read the texts and vectors of a file.

    Raises:
        ConfigError: it holds no canaries, or others than it says.
    """
    content = read_json(file, ConfigError)
    try:
        if content["touchstone canaries"] > FORMAT:
            raise ConfigError(f"{file}: was written by a newer touchstone; run that one")
        texts, rows = content["texts"], content["vectors"]
        if content["sha256"] != _hash(texts, rows):
            raise ConfigError(f"{file}: its texts or vectors are not those that its sha256 is of; write it anew")
        vectors = np.stack([np.frombuffer(base64.b64decode(row, validate=True), "<f4") for row in rows])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ConfigError(f"{file}: holds no canaries; name another file, which is written then") from None
    if len(texts) != len(vectors) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{file}: needs a text for each vector; write it anew")
    if not np.isfinite(vectors).all() or len(set(texts)) < len(texts):
        raise ConfigError(f"{file}: holds numbers that no vector has, or a text twice; write it anew")
    return texts, vectors.astype(np.float32)
