"""Pipelines: two named models, of which the second puts in order what the first finds."""

import hashlib
import json
from functools import cache
from typing import TypeVar

from touchstone.config.models import Model
from touchstone.config.specs import PipelineSpec
from touchstone.errors import MovedError
from touchstone.models.base import ModelKind, OpenModel, OpenPipeline, OpenReranker
from touchstone.records.outcomes import ModelIdentity
from touchstone.store.folder import Store
from touchstone.task_types.registry import find_type

Stage = TypeVar("Stage", OpenModel, OpenReranker)


def identify(model: Model, store: Store) -> ModelIdentity:
    """Return who a pipeline is: its two models, and how many documents go from one to the other."""
    from touchstone.models import kinds  # a pipeline is one of the kinds, and is made of others

    return _made_of(model, *(kinds.identify(stage, store) for stage in model.stages))


def _made_of(model: Model, *stages: ModelIdentity) -> ModelIdentity:
    made = {"stages": [stage.fingerprint for stage in stages], "top_k": model.spec_of(PipelineSpec).top_k}
    text = json.dumps(made, sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:12]
    return ModelIdentity(name=f"local/{model.alias}", revision=None, unmodified=False, fingerprint=fingerprint)


def open_pipeline(model: Model, device: str, store: Store) -> OpenPipeline:
    """Load a pipeline's reranker; its retriever is loaded when it is needed.

    Raises:
        ModelError: the reranker cannot be loaded, or one of the two is not there.
    """
    from touchstone.models import kinds

    retriever, reranker = model.stages
    first, second = (kinds.identify(stage, store) for stage in model.stages)
    last = _the_same(kinds.open_reranker(reranker, device, store), second, reranker)
    opened: list[OpenModel | OpenReranker] = [last]

    @cache
    def open_retriever() -> OpenModel:
        found = _the_same(kinds.open_encoder(retriever, device, store), first, retriever)
        opened.append(found)
        return found

    def check_unchanged() -> None:
        for stage in opened:
            stage.check_unchanged()

    return OpenPipeline(
        identity=_made_of(model, first, second),
        models=(model, retriever, reranker),
        retriever=first,
        retriever_device=kinds.kind_of(retriever).device(retriever, device),
        open_retriever=open_retriever,
        reranker=last,
        top_k=model.spec_of(PipelineSpec).top_k,
        check_unchanged=check_unchanged,
    )


def _the_same(opened: Stage, identity: ModelIdentity, model: Model) -> Stage:
    """Return a stage that was opened, if it is still the model that the pipeline is said to be made of."""
    if opened.identity.fingerprint != identity.fingerprint:
        raise MovedError(f"{model.alias}: its files changed while a pipeline was loaded; run again when they rest")
    return opened


def find_device(model: Model, asked: str) -> str:
    """Return where a pipeline computes: where its reranker does."""
    from touchstone.models import kinds

    _, reranker = model.stages
    return kinds.kind_of(reranker).device(reranker, asked)


def why_not(_model: Model, task_type: str) -> str | None:
    """Return why a pipeline cannot run tasks of a type: its first stage searches, where that is what is asked."""
    if find_type(task_type).searches == "candidates":
        return "a pipeline finds its own candidates; its reranker alone can rerank given ones"
    return None if find_type(task_type).searches == "corpus" else "a pipeline only retrieves"


KIND = ModelKind(
    name="pipeline",
    spec=PipelineSpec,
    identify=identify,
    open=open_pipeline,
    device=find_device,
    reads=lambda _: "both",
    why_not=why_not,
)
