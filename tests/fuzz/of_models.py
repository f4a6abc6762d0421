"""Readers of what models say: the JSON of their folders, and the answers of servers."""

import base64
import json
import threading
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import numpy as np

from tests.fuzz.law import Place
from tests.fuzz.mutation import Files
from tests.fuzz.of_stores import unhurried
from tests.fuzz.reader import Reader, ensure
from tests.models.api.raw import RawServer
from tests.models.api.speaking import INFINITY, INFO, TEI, tell
from touchstone.config.api import ApiSpec
from touchstone.config.models import Model
from touchstone.config.specs import CrossEncoderSpec, EncoderSpec, WeightsSpec
from touchstone.encoding.canaries import CANARIES
from touchstone.errors import TouchstoneError
from touchstone.models.api.client import ApiClient
from touchstone.models.api.embedding import ApiModel
from touchstone.models.api.guessing import Guesses
from touchstone.models.api.protocols import ask_about
from touchstone.models.api.reranking import ApiReranker
from touchstone.models.files.detection import detect, source_of
from touchstone.models.files.listing import in_folder
from touchstone.models.files.loaded import loaded_files, python_elsewhere
from touchstone.models.files.trust import needs_trust
from touchstone.models.weights.identity import identify
from touchstone.records.outcomes import Settings
from touchstone.records.strangers import _of_settings
from touchstone.store.folder import Store

LIBRARY = "sentence_transformers.models"
BERT = {"architectures": ["BertModel"], "model_type": "bert", "hidden_size": 8, "vocab_size": 30}
DENSE: Mapping[str, Any] = {
    "modules.json": [{"idx": 0, "name": "0", "path": "", "type": f"{LIBRARY}.Transformer"},
                     {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{LIBRARY}.Pooling"},
                     {"idx": 2, "name": "2", "path": "2_Dense", "type": f"{LIBRARY}.Dense"}],
    "config.json": BERT,
    "config_sentence_transformers.json": {"model_type": "SentenceTransformer", "prompts": {"query": "q: "},
        "similarity_fn_name": "cosine"},
    "sentence_bert_config.json": {"max_seq_length": 128, "do_lower_case": False, "model_args": {"dtype": "float32"}},
    "1_Pooling/config.json": {"word_embedding_dimension": 8, "pooling_mode_mean_tokens": True},
    "2_Dense/config.json": {"in_features": 8, "out_features": 4,
        "activation_function": "torch.nn.modules.activation.Tanh"},
    "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "model_max_length": 128,
        "auto_map": {"AutoProcessor": "x.Y"}},
    "tokenizer.json": {"version": "1.0"}, "vocab.txt": "[PAD]\n", "model.safetensors": "\x02\0\0\0\0\0\0\0{}",
        "2_Dense/model.safetensors": "x",
}  # fmt: skip
ROUTER: Mapping[str, Any] = {
    "modules.json": [{"idx": 0, "name": "0", "path": "", "type": f"{LIBRARY}.Router"}],
    "router_config.json": {"types": {"query_0": f"{LIBRARY}.StaticEmbedding", "document_0": f"{LIBRARY}.Transformer"},
                           "structure": {"query": ["query_0"], "document": ["document_0"]},
                               "parameters": {"default_route": "document"}},
    "query_0/tokenizer.json": {"version": "1.0"}, "query_0/model.safetensors": "x", "document_0/config.json": BERT,
    "document_0/model.safetensors.index.json": {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}},
    "document_0/model-1.safetensors": "x", "document_0/model-2.safetensors": "x",
    "document_0/tokenizer_config.json": {"tokenizer_class": "sentence_transformers.models.WhitespaceTokenizer"},
}  # fmt: skip
CROSS: Mapping[str, Any] = {
    "config.json": {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"},
        "auto_map": {"AutoModel": "modeling.X"},
                    "sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Sigmoid"}},
    "adapter_config.json": {"task_type": "SEQ_CLS", "base_model_name_or_path": "org/base"},
        "adapter_model.safetensors": "x",
    "generation_config.json": {"trust_remote_code": False}, "modeling.py": "import os\n",
        "special_tokens_map.json": {"pad_token": "[PAD]"},
}  # fmt: skip
WORDS: Mapping[str, Any] = {
    "modules.json": [{"path": "0_WordEmbeddings", "type": f"{LIBRARY}.WordEmbeddings"}, {"path": "1_CNN",
        "type": f"{LIBRARY}.CNN"}],
    "0_WordEmbeddings/wordembedding_config.json": {"tokenizer_class": f"{LIBRARY}.tokenizer.WhitespaceTokenizer",
        "max_seq_length": 9},
    "0_WordEmbeddings/whitespacetokenizer_config.json": {"vocab": ["a", "b"], "stop_words": []},
        "0_WordEmbeddings/pytorch_model.bin": "x",
    "1_CNN/cnn_config.json": {"in_word_embedding_dimension": 8, "out_channels": 4, "kernel_sizes": [1, 3]},
        "1_CNN/model.safetensors": "x",
}  # fmt: skip


def _folders() -> list[Files]:
    def encoded(content: Any) -> bytes:
        return (content if isinstance(content, str) else json.dumps(content)).encode()

    return [{name: encoded(content) for name, content in each.items()} for each in (DENSE, ROUTER, CROSS, WORDS)]


def read_model(place: Place) -> None:
    """Look at a model's folder as a run does before it loads it, trusted and not, as each kind."""
    files = in_folder(place.folder)
    patch = unhurried()
    try:
        specs: tuple[WeightsSpec, ...] = (
            EncoderSpec(path=place.folder),
            EncoderSpec(path=place.folder, trust_remote_code=True),
            CrossEncoderSpec(path=place.folder),
        )
        models = [Model(alias="m", spec=spec, text="m") for spec in specs]
        failed = [one for model in models for one in _try(partial(identify, model, Store(place.scratch / "store")))]
        uses: tuple[Callable[[], object], ...] = (
            lambda: detect(files), lambda: source_of(files), lambda: needs_trust(files),
            lambda: python_elsewhere(files), lambda: loaded_files(files),
            lambda: loaded_files(files, trusted=True, variant="fp16"),
        )  # fmt: skip
        for use in uses:
            _try(use)
        if len(failed) == len(models):
            raise failed[0]
    finally:
        patch.undo()


def _try(use: Callable[[], object]) -> list[TouchstoneError]:
    try:
        use()
    except TouchstoneError as error:
        return [error]
    return []


class Server:
    """A server on loopback that answers every request with the bytes that it was given last."""

    def __init__(self) -> None:
        self.answer = b""
        self._raw = RawServer(self._say, None)
        self.url = self._raw.url
        threading.Thread(target=self._raw.serve, daemon=True).start()

    def _say(self, send: Callable[[bytes], None]) -> None:
        self._raw.asked.clear()
        try:
            send(self.answer)
        finally:
            raise ConnectionResetError  # nothing more is said: whoever waits for more is told so


@cache
def _server() -> Server:
    return Server()


TEXTS = ["one", "two", "three"]
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def _client(**settings: Any) -> ApiClient:
    spec = ApiSpec(url=_server().url, name="m", timeout=3.0, retries=1, patience=2.0, **settings)
    return ApiClient(spec, "served", lambda _: False)


def _embed(answer: bytes, **settings: Any) -> None:
    _server().answer = answer
    vectors = ApiModel(_client(**settings)).encode(TEXTS)
    ensure(vectors.shape[0] == len(TEXTS) and bool(np.isfinite(vectors).all()), "not a finite vector for each text")


def _in_page(body: bytes) -> bytes:
    return PAGE + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _vectors_of(encode: Callable[[list[float]], Any]) -> dict[str, Any]:
    data = [
        {"object": "embedding", "index": at, "embedding": encode([0.5, at, -1e-3, 4.0])} for at in range(len(TEXTS))
    ]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}}


def _base64(numbers: list[float]) -> str:
    return base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()


def _answers() -> list[Files]:
    failed = {"error": {"message": "it does not work", "type": "x", "code": 3}}
    return [{"answer.json": json.dumps(one).encode()} for one in (_vectors_of(list), _vectors_of(_base64), failed)]


def read_answer(place: Place) -> None:
    """Take an answer with vectors."""
    _embed(_in_page((place.folder / "answer.json").read_bytes()))


def _scores() -> list[Files]:
    results = [{"index": at, "relevance_score": 0.5 - at, "document": None} for at in range(len(CANARIES))]
    listed = [{"index": at, "score": at} for at in range(len(CANARIES))]
    return [{"answer.json": json.dumps(one).encode()} for one in ({"model": "m", "results": results}, listed)]


def read_scores(place: Place) -> None:
    """Take an answer with scores."""
    _server().answer = _in_page((place.folder / "answer.json").read_bytes())
    scores = ApiReranker(_client(endpoint="rerank")).score_documents("query", CANARIES)
    ensure(bool(np.isfinite(scores).all()), "a score is not finite")


def _served() -> list[Files]:
    listed = {"data": [tell("m", ["embed", "rerank"], 7)], "object": "list"}
    return [{"answer.json": json.dumps(one).encode()} for one in ({**INFO, "model_id": "m"}, listed)]


def read_served(place: Place) -> None:
    """Take what a server says that it serves: asked by each protocol, and to be guessed by."""
    _server().answer = _in_page((place.folder / "answer.json").read_bytes())
    Guesses()(_server().url, "m")
    refused = None
    for protocol in (TEI, INFINITY):
        try:
            about = ask_about(_client(protocol=protocol))
        except TouchstoneError as error:
            refused = error
            continue
        settings = Settings(pooling=about.pooling, dtype=about.dtype, max_length=about.max_length)
        ensure(not list(_of_settings(settings)), "a record cannot hold what was understood")
        return
    assert refused is not None
    raise refused


def _pages() -> list[Files]:
    body = json.dumps(_vectors_of(list)).encode()
    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nX: y\r\n\r\n" % (len(body), body)
    refused = (
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 22\r\n\r\n" + b'{"error": "too often"}'
    )
    moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    wrong = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 2\r\n\r\n{}"
    cookie = (
        PAGE
        + b"Set-Cookie: a=b; expires=Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Encoding: identity\r\n"
        + b"Content-Length: %d\r\n\r\n"
    )
    pages = (_in_page(body), PAGE + chunked, refused, moved, wrong, cookie % len(body) + body)
    return [{"answer.http": page} for page in pages]


def read_page(place: Place) -> None:
    """Take whatever a server sends, its status line and headers too."""
    _embed((place.folder / "answer.http").read_bytes())


READERS = (
    Reader(name="models' folders", seeds=_folders, read=read_model),
    Reader(name="API, vectors", seeds=_answers, read=read_answer),
    Reader(name="API, scores", seeds=_scores, read=read_scores),
    Reader(name="API, what is served", seeds=_served, read=read_served),
    Reader(name="API, headers", seeds=_pages, read=read_page),
)
