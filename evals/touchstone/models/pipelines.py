"""Pipelines: models one after the other, of which each puts in order the best of what the one before it found."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from touchstone.config.models import Model
from touchstone.config.retrievers import PipelineSpec
from touchstone.errors import ConfigError, MovedError
from touchstone.models.base import ModelKind, Opened, OpenPipeline, OpenStage
from touchstone.records.outcomes import ModelIdentity
from touchstone.store.folder import Store
from touchstone.task_types.registry import find_type


def make_stages(model: Model, device: str, store: Store) -> tuple[tuple[OpenStage, ...], Callable[[], None]]:
    """Return the models that one is made of, none of them loaded yet, and what looks at the files of those that are."""
    from touchstone.models import kinds  # what is made of others is one of the kinds

    loaded: list[Opened] = []

    def make(stage: Model) -> OpenStage:
        identity = kinds.identify(stage, store)

        @cache
        def open_stage() -> Opened:
            opened = kinds.open_model(stage, device, store)
            if opened.identity.fingerprint != identity.fingerprint:
                raise MovedError(
                    f"{stage.alias}: its files changed while {model.alias} was loaded; run again when they rest"
                )
            loaded.append(opened)
            return opened

        place = kinds.kind_of(stage).device(stage, device)
        return OpenStage(model=stage, identity=identity, device=place, open=open_stage)

    def check_unchanged() -> None:
        for opened in loaded:
            opened.check_unchanged()

    return tuple(map(make, model.stages)), check_unchanged


def identify_composed(model: Model, settings: Mapping[str, Any], stages: Iterable[ModelIdentity]) -> ModelIdentity:
    """Return who a model is that is made of others: these, and ``settings`` of what it does with their rankings."""
    text = json.dumps({"stages": [stage.fingerprint for stage in stages], **settings}, sort_keys=True)
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:12]
    return ModelIdentity(name=f"local/{model.alias}", revision=None, unmodified=False, fingerprint=fingerprint)


def identify(model: Model, store: Store) -> ModelIdentity:
    """Return who a pipeline is: its models, and how many documents go from one to the next."""
    from touchstone.models import kinds

    return _describe(model, (kinds.identify(stage, store) for stage in model.stages))


def _describe(model: Model, stages: Iterable[ModelIdentity]) -> ModelIdentity:
    depths = model.spec_of(PipelineSpec).depths
    return identify_composed(model, {"top_k": depths[0] if len(depths) == 1 else depths}, stages)


def open_pipeline(model: Model, device: str, store: Store) -> OpenPipeline:
    """Load a pipeline's last reranker; its other models are loaded when they are needed.

    Raises:
        ModelError: the reranker cannot be loaded, or one of the models is not there.
    """
    stages, check_unchanged = make_stages(model, device, store)
    stages[-1].open()
    return OpenPipeline(
        identity=_describe(model, (stage.identity for stage in stages)),
        model=model,
        stages=stages,
        depths=model.spec_of(PipelineSpec).depths,
        check_unchanged=check_unchanged,
    )


def find_device(model: Model, device: str) -> str:
    """Return where a pipeline computes: where its last reranker does."""
    from touchstone.models import kinds

    return kinds.kind_of(model.stages[-1]).device(model.stages[-1], device)


def why_not(model: Model, task_type: str) -> str | None:
    """Return why a pipeline cannot run tasks of a type: its first stage searches, where that is what is asked."""
    check_retrievers(model, model.stages[:1])
    for stage in model.stages[1:]:
        if not _can(stage, "candidates"):
            raise ConfigError(f'[{model.alias}] reranker = "{stage.alias}" reranks nothing; name a model that does')
    if find_type(task_type).searches == "candidates":
        return "a pipeline finds its own candidates; its reranker alone can rerank given ones"
    return None if find_type(task_type).searches == "corpus" else "a pipeline only retrieves"


def check_retrievers(model: Model, stages: tuple[Model, ...]) -> None:
    """Refuse stages that search no corpus.

    Raises:
        ConfigError: naming one.
    """
    for stage in stages:
        if not _can(stage, "corpus"):
            raise ConfigError(f'[{model.alias}] "{stage.alias}" searches nothing; name a model that does in its place')


def _can(model: Model, searches: str) -> bool:
    """Return True if a model runs tasks that search a corpus or candidates."""
    from touchstone.models import kinds

    type_name = {"corpus": "Retrieval", "candidates": "Reranking"}[searches]
    return kinds.kind_of(model).why_not(model, type_name) is None


KIND = ModelKind(
    name="pipeline",
    spec=PipelineSpec,
    identify=identify,
    open=open_pipeline,
    device=find_device,
    reads=lambda _: "both",
    why_not=why_not,
)
