"""Hybrids: models whose rankings of the same queries are fused into one; nothing is searched twice."""

from collections.abc import Iterable, Mapping
from typing import Any

from touchstone.config.models import Model
from touchstone.config.retrievers import HybridSpec
from touchstone.models.base import ModelKind, OpenHybrid, only_searches
from touchstone.models.pipelines import check_retrievers, identify_composed, make_stages
from touchstone.records.outcomes import ModelIdentity
from touchstone.seams import HYBRID, find
from touchstone.store.folder import Store

# mteb's functions by our names.
FUSIONS = {"rrf": "fuse_rrf", "rsf": "fuse_relative_score_fusion", "dbsf": "fuse_dbsf"}


def identify(model: Model, store: Store) -> ModelIdentity:
    """Return who a hybrid is: its models, and how their rankings are fused."""
    from touchstone.models import kinds  # what is made of others is one of the kinds

    return _describe(model, (kinds.identify(stage, store) for stage in model.stages))


def _describe(model: Model, stages: Iterable[ModelIdentity]) -> ModelIdentity:
    spec = model.spec_of(HybridSpec)
    settings = {name: value for name, value in spec.changes().items() if name != "models"}
    return identify_composed(model, {**settings, "fusion": spec.fusion}, stages)


def open_hybrid(model: Model, device: str, store: Store) -> OpenHybrid:
    """Make a hybrid; its models are loaded when they are needed.

    Raises:
        ModelError: one of the models is not there.
    """
    spec = model.spec_of(HybridSpec)
    stages, check_unchanged = make_stages(model, device, store)
    return OpenHybrid(
        identity=_describe(model, (stage.identity for stage in stages)),
        model=model,
        stages=stages,
        fuse=_make_fusion(spec),
        depth=spec.top_k,
        check_unchanged=check_unchanged,
    )


def _make_fusion(spec: HybridSpec) -> Any:
    """Return mteb's own fusion of what several models found for one query, each ``{document: score}``."""
    weights = spec.weights or (1 / len(spec.models),) * len(spec.models)
    fusion: Any = find(f"{HYBRID}:{FUSIONS[spec.fusion]}")
    options = {"rrf_k": spec.rank_constant} if spec.fusion == "rrf" else {}

    def fuse(rankings: list[dict[str, float]]) -> Mapping[str, float]:
        fused: Mapping[str, float] = fusion(rankings, weights, **options)
        return fused

    return fuse


def why_not(model: Model, task_type: str) -> str | None:
    """Return why a hybrid cannot run tasks of a type."""
    check_retrievers(model, model.stages)
    return only_searches("a hybrid")(model, task_type)


def find_device(model: Model, device: str) -> str:
    """Return where a hybrid computes: where the first of its models does."""
    from touchstone.models import kinds

    return kinds.kind_of(model.stages[0]).device(model.stages[0], device)


KIND = ModelKind(
    name="hybrid",
    spec=HybridSpec,
    identify=identify,
    open=open_hybrid,
    device=find_device,
    why_not=why_not,
)
