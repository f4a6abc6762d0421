"""Models behind an API: identified by their address and what the server says, opened by asking for a few texts."""

from dataclasses import dataclass, replace
from functools import partial
from typing import cast

from touchstone.config.api import ApiSpec
from touchstone.config.models import Model
from touchstone.encoding.encoder import MtebEncoder
from touchstone.encoding.reranker import MtebReranker
from touchstone.errors import MovedError
from touchstone.models.api.client import ApiClient, RefusedError
from touchstone.models.api.embedding import ApiModel
from touchstone.models.api.long_texts import Answer, embed, find_cut, score
from touchstone.models.api.protocols import About, ask_about
from touchstone.models.api.reranking import ApiReranker
from touchstone.models.api.served import Served, make_empty_meta
from touchstone.models.base import ModelKind, OpenModel, OpenReranker, make_meta, only_reranks, prompting_of
from touchstone.models.weights.devices import API_DEVICE
from touchstone.models.weights.identity import Weights, describe, vector_fingerprint
from touchstone.records.outcomes import ModelIdentity, Settings
from touchstone.store.folder import Store
from touchstone.store.vectors import Embeddings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """A server, what it says of its model, and a client that sends no more texts at once than it takes."""

    client: ApiClient
    about: About
    weights: Weights
    identity: ModelIdentity

    def check_unchanged(self) -> None:
        """Ask again what is served.

        Raises:
            MovedError: it is no longer the same.
        """
        try:
            same = ask_about(self.client) == self.about
        except RefusedError:
            same = False
        if not same:
            raise MovedError(
                f"{self.client.alias}: what {self.client.spec.about} says changed while it was measured, and nothing "
                "of that is kept; run again when it no longer changes"
            )


def identify(model: Model, store: Store) -> ModelIdentity:
    """Return who a model behind an API is: its address, its name and this run, or where it is trusted no run.

    What the server says of the model is part of it, where its protocol has words for that.

    Raises:
        ModelError: the server says nothing, or that it serves another model.
    """
    spec = _spec(model)
    about = About() if spec.about is None else ask_about(ApiClient(spec, model.alias))
    return _identify(model, _locate(spec, about, store))


def _identify(model: Model, weights: Weights) -> ModelIdentity:
    return describe(model, weights, name=f"api/{_spec(model).name}")


def _locate(spec: ApiSpec, about: About, store: Store) -> Weights:
    run = {} if store.run_of_apis is None else {"run": store.run_of_apis}
    served = {"serves": about.facts} if about.facts else {}
    facts = {"api": spec.address, "name": spec.name} | served | run
    return Weights(place=spec.address, revision=about.revision, facts=facts)


def _find_server(model: Model, store: Store) -> _Server:
    spec = _spec(model)
    about = ask_about(ApiClient(spec, model.alias))
    weights = _locate(spec, about, store)
    size = min(spec.batch_size, about.max_texts or spec.batch_size)
    return _Server(
        client=ApiClient(replace(spec, batch_size=size), model.alias),
        about=about,
        weights=weights,
        identity=_identify(model, weights),
    )


def open_api(model: Model, _device: str, store: Store) -> OpenModel | OpenReranker:
    """Open a model behind an API, and ask it for a few texts.

    Raises:
        ModelError: the server does not answer, or its answers are wrong.
    """
    return _open_reranker(model, store) if model.spec.reranks else _open_encoder(model, store)


def _open_encoder(model: Model, store: Store) -> OpenModel:
    """Open an embeddings endpoint; its vectors go to the store only if allowed."""
    server = _find_server(model, store)
    spec, fingerprint = server.client.spec, vector_fingerprint(model, server.weights)
    encoder = ApiModel(server.client, None if store.run_of_apis else _vectors(server, fingerprint, store))
    encoder.check()
    cut = _find_cut(server, model, store, fingerprint, embed)
    prompting = prompting_of(spec)
    served = Served(spec.similarity, lambda meta: make_meta(meta, server.identity, model))
    return OpenModel(
        for_mteb=lambda meter: MtebEncoder(encoder, served, prompting, meter),
        encoder=encoder,
        prompting=prompting,
        module=None,
        identity=server.identity,
        settings=replace(
            _settings(server), prompts=prompting.in_the_clear(), dimension=encoder.dimension, long_texts=cut or None
        ),
        device=API_DEVICE,
        quantize=None,
        batch_size=spec.batch_size,
        encode_kwargs={},
        answer=encoder.encode_alone,
        at_once=spec.concurrency,
        check_unchanged=server.check_unchanged,
    )


def _find_cut(server: _Server, model: Model, store: Store, fingerprint: str, answer: Answer) -> str:
    """Find out, once in a run, what the server does with long texts, and tell the user."""
    spec = server.client.spec
    cut = store.agree(f"long texts of {fingerprint} {spec.max_characters}", partial(find_cut, server.client, answer))
    if cut:
        store.tell(f"{model.alias}: {spec.address} {cut}")
    return cut


def _vectors(server: _Server, fingerprint: str, store: Store) -> Embeddings:
    space = {"fingerprint": fingerprint, "url": server.client.spec.address}
    return store.embeddings(space, name=server.identity.name, check=server.check_unchanged)


def _settings(server: _Server) -> Settings:
    about = server.about
    return Settings(
        prompts={},
        pooling=about.pooling,
        max_length=about.max_length,
        max_characters=server.client.spec.max_characters,
        dtype=about.dtype,
    )


def _open_reranker(model: Model, store: Store) -> OpenReranker:
    server = _find_server(model, store)
    reranker = ApiReranker(server.client)
    reranker.check()
    cut = _find_cut(server, model, store, server.identity.fingerprint, score)
    meta = make_meta(make_empty_meta(model_type=["cross-encoder"]), server.identity, model)
    return OpenReranker(
        for_mteb=lambda meter: MtebReranker(reranker, meta, meter),
        identity=server.identity,
        settings=replace(_settings(server), long_texts=cut or None),
        device=API_DEVICE,
        batch_size=server.client.spec.batch_size,
        encode_kwargs={},
        at_once=server.client.spec.concurrency,
        check_unchanged=server.check_unchanged,
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
    device=lambda _model, _device: API_DEVICE,
    reads=lambda model: "pairs" if model.spec.reranks else "texts",
    why_not=why_not,
    prompts=lambda model: _spec(model).prompts,
    served=True,
    divides=True,
    remote=lambda model: None if _spec(model).is_local else _spec(model).address,
)
