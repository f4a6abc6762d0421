"""Open a model behind an API."""

from touchstone.config.api import ApiSpec
from touchstone.config.models import Model
from touchstone.encoding.prompted import PromptedEncoder
from touchstone.models.api.client import ApiClient
from touchstone.models.api.embedding import ApiModel
from touchstone.models.api.served import Served, ServedReranker
from touchstone.models.base import OpenModel, OpenReranker, make_meta, prompting_of
from touchstone.models.devices import ELSEWHERE
from touchstone.models.identity import Weights, describe, locate, vector_fingerprint
from touchstone.records.outcomes import ModelIdentity, Settings
from touchstone.store.folder import Store


def open_encoder(model: Model, spec: ApiSpec, weights: Weights, identity: ModelIdentity, store: Store) -> OpenModel:
    """Open a model behind an API: whether it answers shows at once, and its vectors go to the store only if allowed."""
    space = {"model": identity.name, "fingerprint": vector_fingerprint(model, weights), "url": spec.address}
    asked = ApiModel(ApiClient(spec, model.alias), None if store.run_of_apis else store.embeddings(space))
    asked.check()
    prompting = prompting_of(spec)
    served = Served(spec.similarity, lambda meta: make_meta(meta, identity, model))
    encoder = PromptedEncoder(asked, served, prompting)
    return OpenModel(
        encoder=encoder,
        module=None,
        identity=identity,
        settings=Settings(
            prompts=prompting.in_the_clear(), max_characters=spec.max_characters, dimension=asked.dimension
        ),
        device=ELSEWHERE,
        quantize=None,
        batch_size=spec.batch_size,
        encode_kwargs={},
        batched=asked,
        prompt_used=lambda: encoder.prompt_used,
    )


def open_reranker(model: Model, spec: ApiSpec, store: Store) -> OpenReranker:
    """Open a rerank endpoint: whether it answers shows at once."""
    identity = describe(model, locate(model, store))
    asked = ServedReranker(ApiClient(spec, model.alias), lambda meta: make_meta(meta, identity, model))
    asked.check()
    return OpenReranker(
        reranker=asked,
        identity=identity,
        settings=Settings(prompts={}, max_characters=spec.max_characters),
        device=ELSEWHERE,
        batch_size=spec.batch_size,
        encode_kwargs={},
        batched=asked,
    )
