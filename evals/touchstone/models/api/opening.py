"""Models behind an API: identified by their address, opened by asking for a few texts."""

from typing import cast

from touchstone.config.api import ApiSpec
from touchstone.config.models import Model
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.reranker import MtebReranker
from touchstone.models.api.client import ApiClient
from touchstone.models.api.embedding import ApiModel
from touchstone.models.api.reranking import ApiReranker
from touchstone.models.api.served import Served, make_empty_meta
from touchstone.models.base import ModelKind, OpenModel, OpenReranker, make_meta, only_reranks, prompting_of
from touchstone.models.weights.devices import ELSEWHERE
from touchstone.models.weights.identity import Weights, describe, vector_fingerprint
from touchstone.records.outcomes import ModelIdentity, Settings
from touchstone.store.folder import Store


def identify(model: Model, store: Store) -> ModelIdentity:
    """Return who a model behind an API is: an address and a name, in this run or, where that is trusted, in all."""
    return describe(model, _locate(model, store), name=f"api/{_spec(model).name}")


def _locate(model: Model, store: Store) -> Weights:
    spec = _spec(model)
    own = {} if store.run_of_apis is None else {"run": store.run_of_apis}
    return Weights(place=spec.address, revision=None, are={"api": spec.address, "name": spec.name} | own)


def open_api(model: Model, _device: str, store: Store) -> OpenModel | OpenReranker:
    """Open a model behind an API: whether it answers shows at once.

    Raises:
        ModelError: it does not.
    """
    return _open_reranker(model, store) if model.spec.reranks else _open_encoder(model, store)


def _open_encoder(model: Model, store: Store) -> OpenModel:
    """Open an embeddings endpoint; its vectors go to the store only if allowed."""
    spec, identity = _spec(model), identify(model, store)
    fingerprint = vector_fingerprint(model, _locate(model, store))
    space = {"fingerprint": fingerprint, "url": spec.address}
    asked = ApiModel(
        ApiClient(spec, model.alias), None if store.run_of_apis else store.embeddings(space, name=identity.name)
    )
    asked.check()
    prompting = prompting_of(spec)
    served = Served(spec.similarity, lambda meta: make_meta(meta, identity, model))
    return OpenModel(
        for_mteb=lambda meter: MtebEncoder(asked, served, prompting, meter),
        encoder=asked,
        prompting=prompting,
        module=None,
        identity=identity,
        settings=Settings(
            prompts=prompting.in_the_clear(), max_characters=spec.max_characters, dimension=asked.dimension
        ),
        device=ELSEWHERE,
        quantize=None,
        batch_size=spec.batch_size,
        encode_kwargs={},
        answer=asked.encode_alone,
        at_once=spec.concurrency,
    )


def _open_reranker(model: Model, store: Store) -> OpenReranker:
    spec, identity = _spec(model), identify(model, store)
    asked = ApiReranker(ApiClient(spec, model.alias))
    asked.check()
    meta = make_meta(make_empty_meta(model_type=["cross-encoder"]), identity, model)
    return OpenReranker(
        for_mteb=lambda meter: MtebReranker(asked, meta, meter),
        identity=identity,
        settings=Settings(prompts={}, max_characters=spec.max_characters),
        device=ELSEWHERE,
        batch_size=spec.batch_size,
        encode_kwargs={},
        at_once=spec.concurrency,
    )


def why_not(model: Model, task_type: str) -> str | None:
    """Return why a model behind an API cannot run tasks of a type: a rerank endpoint only reranks."""
    return only_reranks(model, task_type) if model.spec.reranks else None


def _spec(model: Model) -> ApiSpec:
    return cast("ApiSpec", model.spec)


KIND = ModelKind(
    name="api",
    spec=ApiSpec,
    identify=identify,
    open=open_api,
    device=lambda _model, _asked: ELSEWHERE,
    reads=lambda model: "pairs" if model.spec.reranks else "texts",
    why_not=why_not,
    prompts=lambda model: _spec(model).prompts,
    served=True,
    remote=lambda model: None if _spec(model).is_local else _spec(model).address,
)
