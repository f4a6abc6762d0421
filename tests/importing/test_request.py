from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from tests.importing.documents import make_block, make_front, write_card
from touchstone.errors import ConfigError, SourceError
from touchstone.importing.cards import fetch_card
from touchstone.importing.reading import read_source
from touchstone.importing.request import Request, choose_alias, find_model


@pytest.mark.parametrize(
    ("names", "model"),
    [
        (["bge-large-en"], "BAAI/bge-large-en"),
        (["jina-embedding-s-en-v2", "jina-embeddings-v2-small-en"], "jinaai/jina-embeddings-v2-small-en"),
        (["all-mpnet-base-v2", "bge-large-en"], "sentence-transformers/all-mpnet-base-v2"),
        (["no-such-model", "card"], "no-such-model"),
    ],
)
def test_a_model_is_known_by_the_name_its_card_or_file_has(names: list[str], model: str) -> None:
    assert find_model(names) == model


def test_an_alias_is_what_a_run_of_the_model_would_be_called() -> None:
    request = Request(source="x", folder=Path())
    assert choose_alias(request, "Salesforce/SFR-Embedding-Mistral") == "SFR-Embedding-Mistral"
    assert choose_alias(request, "a model") == "a-model"
    with pytest.raises(ConfigError, match='--alias = ""'):
        choose_alias(request, "org/…")


def test_a_hub_id_is_fetched_at_the_revision_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repo_id: str, filename: str, *, revision: str | None) -> str:
        asked.append((repo_id, filename, revision))
        folder = tmp_path / "snapshots" / "0123abc"
        folder.mkdir(parents=True, exist_ok=True)
        return str(write_card(folder, make_front(make_block(), name="other-name"), name="README.md"))

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    (found,) = read_source(Request(source="org/some-model", folder=tmp_path, revision="v1"))
    assert asked == [("org/some-model", "README.md", "v1")]
    assert (found.model, found.alias, found.revision) == ("org/some-model", "some-model", "0123abc")
    assert found.source == "card:some-model"


def test_without_a_network_the_hub_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise OSError("no network\nand a long story")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(SourceError) as caught:
        fetch_card("org/m", None)
    assert str(caught.value) == (
        "org/m is no file or folder here, and the hub gave no card of that name: OSError: no network"
    )
