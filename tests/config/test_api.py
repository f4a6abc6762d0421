"""What may be said of a model behind an API, and that no secret is repeated whatever is said."""

from pathlib import Path
from typing import Any

import pytest

from touchstone.config.api import ApiSpec
from touchstone.config.models import Model, find_model, load_models
from touchstone.config.specs import EncoderSpec
from touchstone.errors import ConfigError
from touchstone.records.names import SIGNS

URL = "http://127.0.0.1:8000/v1"
API = f'[x]\nkind = "api"\nurl = "{URL}"\nname = "org/embed"\n'
TEI = 'protocol = "text-embeddings-inference"\n'
SECRET = "hf_aBcDeF0123456789"


def load(folder: Path, text: str) -> Any:
    (folder / "m.toml").write_text(text)
    return load_models(folder / "m.toml")["x"]


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{folder / 'm.toml'}: [x]: ")


def find(text: str, folder: Path) -> Model:
    return find_model(text, {"minilm": EncoderSpec(id="org/minilm")}, folder, "--model")


def not_found(text: str, folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        find(text, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_setting_can_be_said(tmp_path: Path) -> None:
    spec = load(
        tmp_path,
        API + 'api_key_env = "EMBED_KEY"\ndimensions = 256\nmax_characters = 8000\nencoding = "base64"\n'
        'similarity = "dot"\nprompts = {query = "q: "}\nbody = {user = "me"}\nquery_body = {input_type = "query"}\n'
        "batch_size = 8\nbatch_characters = 9000\nconcurrency = 2\ntimeout = 5\nretries = 0\npatience = 10.5",
    )
    assert spec.address == f"{URL}/embeddings"
    assert spec.changes() == {
        "dimensions": 256,
        "max_characters": 8000,
        "similarity": "dot",
        "prompts": {"query": "q: "},
        "body": {"user": "me"},
        "query_body": {"input_type": "query"},
    }, "what only says where the server is, or how fast it is asked, changes no score"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[x]\nkind = "api"\nname = "n"', 'needs a key "url"'),
        (f'[x]\nkind = "api"\nurl = "{URL}"', 'needs a key "name"'),
        (API.replace("org/embed", ""), 'name = ""; leave the key out, or give it a value'),
        (API.replace("org/embed", "org embed"), "name holds a space or a sign that cannot be printed; write it as the "
         "server spells it"),
        (API.replace("http:", "ftp:"), 'url = "ftp://127.0.0.1:8000/v1"; expected an address such as '
         "http://127.0.0.1:8000/v1"),
        (API.replace("http://", ""), 'url = "127.0.0.1:8000/v1"; expected an address such as http://127.0.0.1:8000/v1'),
        (API.replace(":8000", ":99999"), 'url = "http://127.0.0.1:99999/v1"; expected an address such as '
         "http://127.0.0.1:8000/v1"),
        (API.replace("/v1", "/v1/embeddings"), 'url = "http://127.0.0.1:8000/v1/embeddings"; leave out what follows '
         "the base, expected an address such as http://127.0.0.1:8000/v1"),
        (API + "dimensions = 0", "dimensions = 0: must be 1 or more"),
        (API + "concurrency = 0", "concurrency = 0: must be 1 or more"),
        (API + "retries = -1", "retries = -1: must be 0 or more"),
        (API + "timeout = 0", "timeout = 0.0: must be more than 0"),
        (API + 'encoding = "int8"', 'encoding = "int8"; expected one of "float", "base64"'),
        (API + 'endpoint = "chat"', 'endpoint = "chat"; expected one of "embeddings", "rerank"'),
        (API + 'body = {model = "m"}', 'body holds "model", which every request says by itself; leave it out'),
        (API + 'query_body = {input = "m"}', 'query_body holds "input", which every request says by itself; leave it '
         "out"),
        (API + 'instruction = "Query: "', 'instruction needs "{instruction}" once, where mteb\'s instruction of the '
         "task goes"),
        (API + 'endpoint = "rerank"\ndimensions = 8',
         'dimensions is a setting of embeddings; leave it out, or set endpoint = "embeddings"'),
        (API + 'endpoint = "rerank"\nprompts = {query = "q"}',
         'prompts is a setting of embeddings; leave it out, or set endpoint = "embeddings"'),
        (API + "max_seq_length = 8", 'has an unknown key "max_seq_length"'),
        (API + 'protocol = "tei"',
         'protocol = "tei"; expected one of "openai", "text-embeddings-inference", "infinity"'),
        (API + "truncate = false", 'truncate is a setting of protocol = "text-embeddings-inference"; leave it out'),
        (API + 'protocol = "infinity"\ntruncate = false',
         'truncate is a setting of protocol = "text-embeddings-inference"; leave it out'),
        (API + f'{TEI}encoding = "base64"', 'encoding is a setting of protocol = "openai"; leave it out'),
        (API + f"{TEI}body = {{truncate = true}}",
         'body holds "truncate", which every request says by itself; leave it out'),
        (API.replace("/v1", "/embed") + TEI, 'url = "http://127.0.0.1:8000/embed"; leave out what follows the base, '
         "expected an address such as http://127.0.0.1:8000/v1"),
        (API.replace("/v1", "/info") + TEI, 'url = "http://127.0.0.1:8000/info"; leave out what follows the base, '
         "expected an address such as http://127.0.0.1:8000/v1"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_one_sentence(tmp_path: Path, text: str, expected: str) -> None:
    assert refusal(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("said", "address", "about"),
    [
        ("", "embeddings", None),
        ('endpoint = "rerank"', "rerank", None),
        (TEI, "embed", "info"),
        (TEI + 'endpoint = "rerank"', "rerank", "info"),
        ('protocol = "infinity"', "embeddings", "models"),
        ('protocol = "infinity"\nendpoint = "rerank"', "rerank", "models"),
    ],
)
def test_each_protocol_has_its_addresses(tmp_path: Path, said: str, address: str, about: str | None) -> None:
    spec = load(tmp_path, API + said)
    assert (spec.address, spec.about) == (f"{URL}/{address}", about and f"{URL}/{about}")


def test_what_another_protocol_says_by_itself_may_be_said_in_a_body(tmp_path: Path) -> None:
    assert load(tmp_path, API + 'body = {truncate = "END"}').body == {"truncate": "END"}
    assert load(tmp_path, API + TEI + "truncate = false\nbody = {normalize = false}").changes() == {
        "protocol": "text-embeddings-inference",
        "truncate": False,
        "body": {"normalize": False},
    }


@pytest.mark.parametrize("said", ["patience = inf", "timeout = nan", "body = {x = -inf}"])
def test_a_number_that_is_not_finite_is_refused(tmp_path: Path, said: str) -> None:
    assert refusal(tmp_path, API + said).endswith("; expected a number that is finite")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (API + f'api_key_env = "{SECRET}"', "api_key_env needs the name of an environment variable, in capitals, as in "
         "OPENAI_API_KEY; the key itself is written nowhere"),
        (API + f'api_key = "{SECRET}"', 'has an unknown key "api_key"; did you mean "api_key_env"?'),
        (API.replace("127.0.0.1", f"user:{SECRET}@127.0.0.1"), None),
        (API.replace("/v1", f"/v1?key={SECRET}"), None),
        (API.replace("http://", f"user:{SECRET}@"), None),
    ],
)  # fmt: skip
def test_a_secret_in_a_file_is_refused_and_not_repeated(tmp_path: Path, text: str, expected: str | None) -> None:
    message = refusal(tmp_path, text)
    assert SECRET not in message
    assert message == expected or (expected is None and message.startswith("url holds a user, a password or a query"))


@pytest.mark.parametrize(
    "text",
    [f"api:http://user:{SECRET}@host/v1#embed=served", f"api:http://host/v1?key={SECRET}#embed=served",
     f"api:http://user:{SECRET}@host/v1", f"api:http://host/v1#embed=served@api_key={SECRET}",
     f"api:http://host/v1#embed=served@api_key_env={SECRET}"],
)  # fmt: skip
def test_a_secret_that_is_typed_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    assert SECRET not in not_found(text, tmp_path)


@pytest.mark.parametrize(
    ("behind", "name", "alias"),
    [
        ("embed=served", "embed", "served"),
        ("embed", "embed", "embed"),
        ("org/embed:latest", "org/embed:latest", "embed-latest"),
        ("@cf/baai/bge=bge", "@cf/baai/bge", "bge"),
        ("text-embedding-3-small=small", "text-embedding-3-small", "small"),
    ],
)
def test_a_server_can_be_typed(tmp_path: Path, behind: str, name: str, alias: str) -> None:
    model = find(f"api:{URL}#{behind}", tmp_path)
    assert model == Model(alias=alias, spec=ApiSpec(url=URL, name=name), text=f"api:{URL}#{behind}")


def test_settings_can_be_typed_behind_it(tmp_path: Path) -> None:
    model = find(f"api:{URL}#embed=served@dimensions=256,concurrency=1", tmp_path)
    assert model.spec == ApiSpec(url=URL, name="embed", dimensions=256, concurrency=1)
    assert model.alias == "served+dimensions-256+concurrency-1"
    assert find(model.text, tmp_path) == model, "what is printed can be typed again"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, "--model: what follows api: is an address, # and the server's name, as in "
           "api:http://127.0.0.1:8000/v1#NAME=alias") for text in
          ("api:", f"api:{URL}", f"api:{URL}#", "api:#embed", f"api:{URL}#=served", f"api:{URL}#embed=",
           f"api:{URL}#embed=served@", f"api:{URL}#a=b=c")),
        ("api:host/v1#embed", '--model: url = "host/v1"; expected an address such as http://127.0.0.1:8000/v1'),
        (f"api:{URL}#embed=my:model", f'--model: the name "my:model" may hold only {SIGNS}; write '
         "api:URL#embed=NAME"),
        (f"api:{URL}#minilm", f'--model = "api:{URL}#minilm" would be called "minilm", which models.toml has; '
         "write api:URL#minilm=NAME"),
        (f"api:{URL}#embed=served@normalize=true", '--model: "@normalize" is not a setting one can derive; known: '
         "batch_characters, batch_size, concurrency, dimensions, endpoint, max_characters, protocol, truncate"),
        (f"api:{URL}#embed=served@dimensions=x", '--model: served+dimensions-x: dimensions = "x"; expected a whole '
         "number"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_is_one_sentence(tmp_path: Path, text: str, expected: str) -> None:
    assert not_found(text, tmp_path) == expected


@pytest.mark.parametrize(("retriever", "reranker", "fits"), [("x", "r", True), ("r", "x", False), ("x", "x", True)])
def test_each_endpoint_has_its_place_in_a_pipeline(tmp_path: Path, retriever: str, reranker: str, fits: bool) -> None:
    other = API.replace("[x]", "[r]") + 'endpoint = "rerank"\n'
    pipeline = f'[p]\nkind = "pipeline"\nretriever = "{retriever}"\nreranker = "{reranker}"\n'
    if fits:
        load(tmp_path, API + other + pipeline)
    else:
        assert "expected a" in refusal(tmp_path, API + other + pipeline)


@pytest.mark.parametrize(
    ("url", "local"),
    [(URL, True), ("http://localhost/v1", True), ("http://[::1]:8/v1", True), ("https://api.example.com/v1", False),
     ("http://127.0.0.1.example.com/v1", False), ("http://10.0.0.1/v1", False)],
)  # fmt: skip
def test_a_server_on_this_machine_is_known(url: str, local: bool) -> None:
    assert ApiSpec(url=url, name="n").is_local is local
