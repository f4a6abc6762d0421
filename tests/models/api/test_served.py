"""A model behind an API is itself for one run only, unless it is told to be trusted for more."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.api.server import NAME, Server, serving, with_status
from touchstone.config.api import ApiSpec
from touchstone.config.models import Model
from touchstone.encoding.meter import Meter
from touchstone.errors import ModelError
from touchstone.models.api.served import Served
from touchstone.models.kinds import identify, open_encoder
from touchstone.store.folder import Store


@pytest.fixture(scope="module")
def server() -> Any:
    with serving() as found:
        yield found


def at(server: Server, **settings: Any) -> Model:
    return Model(alias="served", spec=ApiSpec(url=server.url, name=NAME, **settings), text="served")


def test_an_api_is_another_model_in_each_run(server: Server, tmp_path: Path) -> None:
    one, two = (identify(at(server), Store(tmp_path)) for _ in range(2))
    assert one.fingerprint != two.fingerprint
    assert (one.name, one.revision, one.unmodified) == (f"api/{NAME}", None, False)


def test_an_api_is_the_same_model_in_the_processes_of_a_run(server: Server, tmp_path: Path) -> None:
    one, two = (identify(at(server), Store(tmp_path, run="r")) for _ in range(2))
    assert one == two
    assert identify(at(server), Store(tmp_path, run="s")) != one


@pytest.mark.parametrize(
    ("settings", "same"),
    [({"concurrency": 1, "batch_size": 4, "timeout": 1.0, "encoding": "base64", "retries": 0}, True),
     ({"api_key_env": "OTHER"}, True), ({"dimensions": 8}, False), ({"max_characters": 9}, False),
     ({"prompts": {"query": "q: "}}, False), ({"body": {"a": 1}}, False), ({"similarity": "dot"}, False)],
)  # fmt: skip
def test_a_trusted_api_is_known_by_address_name_and_settings(
    server: Server, tmp_path: Path, settings: dict[str, Any], same: bool
) -> None:
    store = Store(tmp_path, reuse_api=True)
    fingerprint = identify(at(server), store).fingerprint
    assert (identify(at(server, **settings), store).fingerprint == fingerprint) is same
    for spec in (ApiSpec(url=server.url + "x", name=NAME), ApiSpec(url=server.url, name="other")):
        assert identify(Model(alias="served", spec=spec, text="served"), store).fingerprint != fingerprint


def test_opening_asks_and_tells_what_is_known(server: Server, tmp_path: Path) -> None:
    opened = open_encoder(at(server, max_characters=50, prompts={"query": "q: "}), "cpu", Store(tmp_path))
    assert (opened.settings.dimension, opened.settings.max_characters) == (64, 50)
    assert opened.settings.prompts == {"query": "q: "}
    assert opened.device == "api"
    meta = opened.for_mteb(Meter()).mteb_model_meta
    assert meta is not None
    assert meta.name == f"api/{NAME}__{opened.identity.fingerprint}"
    assert meta.revision == opened.identity.fingerprint
    assert not (tmp_path / "embeddings").exists(), "no store of vectors without --reuse-api"


def test_a_server_that_refuses_cannot_be_opened(server: Server, tmp_path: Path) -> None:
    server.next = [with_status(401)]
    with pytest.raises(ModelError, match=r"^served: http://127.0.0.1:[0-9]+/v1/embeddings answered 401 "):
        open_encoder(at(server), "cpu", Store(tmp_path))


def test_a_reranker_is_no_encoder(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^served: a rerank endpoint is no encoder$"):
        open_encoder(at(server, endpoint="rerank"), "cpu", Store(tmp_path))


@pytest.mark.parametrize("kind", ["cosine", "dot"])
def test_similarity_is_the_one_said(kind: Any) -> None:
    vectors = np.array([[3.0, 4.0], [1.0, 0.0]], np.float32)
    expected = np.array([[1.0, 0.6], [0.6, 1.0]] if kind == "cosine" else [[25.0, 3.0], [3.0, 1.0]])
    served = Served(kind, lambda meta: meta)
    assert np.allclose(np.asarray(served.similarity(vectors, vectors)), expected)
    assert np.allclose(np.asarray(served.similarity_pairwise(vectors, vectors)), np.diag(expected))
