"""Cross-encoders: load one exactly as its specification says, and score pairs with it as mteb asks."""

import warnings
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from touchstone.config.models import Model
from touchstone.config.specs import CrossEncoderSpec, ExportSpec
from touchstone.encoding.batches.token_batches import TokenBatches, count_tokens, counting_tokens, limit_of
from touchstone.encoding.batching import IGNORED_ARGUMENTS, dtype_of, rounding_of
from touchstone.encoding.canaries import CANARIES
from touchstone.encoding.meter import Meter
from touchstone.encoding.reranker import MtebReranker
from touchstone.encoding.texts import find_distinct
from touchstone.errors import ModelError, first_line
from touchstone.models.base import ModelKind, OpenReranker, make_meta, only_reranks
from touchstone.models.weights.devices import find_device
from touchstone.models.weights.identity import Weights, describe, identify, locate
from touchstone.models.weights.loading import construct, make_ready
from touchstone.models.weights.tensors import check_tensors
from touchstone.records.outcomes import Settings
from touchstone.store.folder import Store

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


Scores = NDArray[np.float32]
# What a specification may ask of `predict` without the scores becoming something else.
PREDICT_ARGUMENTS = frozenset({"processing_kwargs"})
CANARY_PAIRS = [(query, document) for query in CANARIES[:2] for document in CANARIES]


class BatchedReranker:
    """A `PairScorer` of a cross-encoder: the library's own scores, each distinct pair once, in batches by tokens.

    Args:
        model: the cross-encoder.
        tokens: of a batch, padding included; None for what suits the device.
        pairs_at_once: at most so many pairs in a batch; None for no limit but the tokens.
    """

    def __init__(self, model: "CrossEncoder", *, tokens: int | None = None, pairs_at_once: int | None = None) -> None:
        self._model = model
        self._batches = TokenBatches(model.device, tokens=tokens, at_once=pairs_at_once, what="pair")

    def score(self, pairs: Sequence[tuple[str, str]], *, meter: Meter | None = None, **options: Any) -> Scores:
        """Score pairs of texts; shape (pairs,).

        Raises:
            ModelError: an option would give something else than one score for a pair.
        """
        arguments = {name: value for name, value in options.items() if name not in IGNORED_ARGUMENTS}
        if unknown := sorted(set(arguments) - PREDICT_ARGUMENTS):
            raise ModelError(f"encode_kwargs.{unknown[0]}: is not for an evaluation, which needs one score for a pair")
        meter = meter or Meter()
        distinct, order = find_distinct(pairs)

        def predict(rows: list[int]) -> Scores:
            batch = [distinct[row] for row in rows]
            with counting_tokens(self._model) as tokens:
                output: Any = self._model.predict(batch, batch_size=len(batch), show_progress_bar=False, **arguments)
            scores = np.asarray(output, dtype=np.float32)
            meter.count(len(batch), tokens(), warm=self._batches.warm)
            return scores

        lengths = self._count_tokens(distinct)
        meter.start()
        scores = self._batches.run(
            lengths, predict, lambda done: meter.tell(f"reranking, {done} of {len(distinct)} pairs")
        )
        return np.empty(0, np.float32) if scores is None else scores[order]

    def check(self) -> None:
        """Compare with the model's own score of one pair at a time.

        Raises:
            ModelError: the scores differ by more than rounding, or only one pair can be scored at a time.
        """
        expected = np.concatenate(
            [np.atleast_1d(self._model.predict([pair], show_progress_bar=False)) for pair in CANARY_PAIRS]
        )
        try:
            actual = self.score(CANARY_PAIRS)
        except ValueError as error:  # of a decoder that does not know its padding
            raise ModelError(
                f"the model scores no two pairs at once: {first_line(error).rstrip('.')}; set pad_token_id in its "
                "config.json, or set batch_size = 1"
            ) from error
        apart = float(np.abs(expected - actual).max()) / max(1.0, float(np.abs(expected).max()))
        # NaN is refused by the check of a task's scores.
        if apart > rounding_of(self._model):
            raise ModelError(
                f"the model's scores depend on what else is in a batch: {apart:.2g} apart from those of one pair at a "
                f"time in {dtype_of(self._model)}; check its padding"
            )

    def _count_tokens(self, pairs: list[tuple[str, str]]) -> NDArray[np.int64]:
        """Return about how many tokens each pair has: those of its texts, counted once for each distinct text."""
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        most = limit_of(self._model)
        count = dict(zip(texts, count_tokens(self._model, texts).tolist(), strict=True))
        lengths = np.array([count[query] + count[document] for query, document in pairs], dtype=np.int64)
        return lengths if most is None else np.minimum(lengths, most)


def load_cross_encoder(spec: CrossEncoderSpec | ExportSpec, weights: Weights, device: str) -> "CrossEncoder":
    """Load a cross-encoder; its head must come from its files."""
    from sentence_transformers import CrossEncoder

    loaded: CrossEncoder
    loaded, noted = construct(CrossEncoder, spec, weights, device=device)
    _refuse_new_head(loaded, weights.label)
    if loaded.num_labels != 1:
        raise ModelError(
            f"{weights.label} gives {loaded.num_labels} numbers for a pair; a reranker gives one, its score"
        )
    if spec.max_seq_length is not None:
        loaded.max_seq_length = spec.max_seq_length
    make_ready(loaded, [loaded], weights.label)
    one_by_one = BatchedReranker(loaded, pairs_at_once=1)
    check_tensors(noted, lambda: one_by_one.score(CANARY_PAIRS), weights.label)
    return loaded


def _refuse_new_head(loaded: "CrossEncoder", place: str) -> None:
    """Refuse a model without a layer for scores: the library adds one of random numbers, with a line in its log."""
    import transformers

    inside: Any = loaded.model
    names = list(getattr(inside.config, "architectures", None) or [])
    headless = all(hasattr(transformers, name) and not name.endswith("ForSequenceClassification") for name in names)
    if type(inside).__name__.endswith("ForSequenceClassification") and names and headless:
        raise ModelError(
            f"{place} is a {names[0]}, which has no layer that scores a pair; it was not trained as a cross-encoder"
        )


def open_cross_encoder(model: Model, device: str, store: Store) -> OpenReranker:
    """Load a cross-encoder.

    Raises:
        ModelError: it cannot be loaded, gives no score for a pair, or the device is not there.
    """
    spec = model.spec_of(CrossEncoderSpec)
    weights = locate(model, store)
    place = find_device(model, device)
    loaded = load_cross_encoder(spec, weights, place)
    return make_open(model, loaded, weights=weights, device=place, pairs_at_once=spec.batch_size)


def make_open(
    model: Model, loaded: "CrossEncoder", *, weights: Weights, device: str, pairs_at_once: int | None
) -> OpenReranker:
    """Return a loaded cross-encoder as measuring gets it.

    Raises:
        ModelError: its scores depend on their batch.
    """
    from mteb.models import CrossEncoderWrapper

    spec: Any = model.spec
    identity = describe(model, weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapper = CrossEncoderWrapper(loaded)  # makes a half-precision model's last layer float32, as mteb scores it
    meta = make_meta(wrapper.mteb_model_meta, identity, model)
    prompt = spec.prompt or ""
    batched = BatchedReranker(loaded, pairs_at_once=pairs_at_once)
    batched.check()
    check_unchanged = partial(weights.check_unchanged, model.alias)
    check_unchanged(loaded=True)
    prompts = {"query": prompt} if prompt else {}
    return OpenReranker(
        for_mteb=lambda meter: MtebReranker(batched, meta, meter, prompt=prompt),
        identity=identity,
        settings=Settings(prompts=prompts, max_length=limit_of(loaded), dtype=dtype_of(loaded)),
        device=device,
        batch_size=spec.batch_size or 32,
        encode_kwargs=dict(spec.encode_kwargs),
        check_unchanged=check_unchanged,
    )


KIND = ModelKind(
    name="cross-encoder",
    spec=CrossEncoderSpec,
    identify=identify,
    open=open_cross_encoder,
    device=find_device,
    reads=lambda _: "pairs",
    why_not=only_reranks,
)
