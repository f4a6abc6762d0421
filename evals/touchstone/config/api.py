"""Models behind an API: what ``models.toml`` may say of one."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from touchstone.config.base import Spec, check_instruction, check_values
from touchstone.files.validation import Number, Strict, WholeNumber
from touchstone.foreign import SECRET, find_passwords, keep_secret

# Never the shape of a key: whoever puts the key itself where its name belongs is told so before it is shown anywhere.
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
OPENAI, TEI, INFINITY = "openai", "text-embeddings-inference", "infinity"
# Where, below the base, a server of a protocol says what it serves, to be held to it.
ABOUT = {TEI: "info", INFINITY: "models"}
# What a request says by other keys of the specification.
OF_OPENAI = {
    "model", "input", "dimensions", "encoding_format", "query", "documents", "top_n", "return_documents",
}  # fmt: skip
OF_TEI = {"inputs", "truncate", "dimensions", "query", "texts", "return_text"}
OF_EMBEDDINGS = {"dimensions", "similarity", "prompts", "instruction", "query_body", "document_body"}
# Settings that a protocol has no word for, and the protocols that have.
ONLY_OF = {"encoding": (OPENAI, INFINITY), "truncate": (TEI,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSpec(Spec, Strict):
    """A model behind an API."""

    kind: Literal["api"] = "api"
    url: str
    """The base address, without the endpoint."""
    name: str
    """The name that the server knows the model by."""
    protocol: Literal["openai", "text-embeddings-inference", "infinity"] = "openai"
    """``openai`` reranks in the form of Jina and Cohere. The two others say what they serve, and are held to it."""
    endpoint: Literal["embeddings", "rerank"] = "embeddings"
    """What is asked."""
    api_key_env: str | None = None
    """The environment variable that holds the key. The key itself is written nowhere."""
    dimensions: WholeNumber | None = None
    """Asked of the server, and checked."""
    max_characters: WholeNumber | None = None
    """Longer texts are cut before they are sent, prompt included."""
    truncate: bool = True
    """Whether text-embeddings-inference cuts long texts; ``false`` has it refuse them."""
    encoding: Literal["float", "base64"] = "float"
    """How vectors come back."""
    similarity: Literal["cosine", "dot"] = "cosine"
    """How vectors are compared."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """As for a dense encoder."""
    instruction: str | None = None
    """As for a dense encoder."""
    instruct: Literal["queries", "symmetric", "all"] = "symmetric"
    """As for a dense encoder."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """More keys of each request."""
    query_body: Mapping[str, Any] = field(default_factory=dict)
    """More keys of requests for queries, as in ``{ input_type = "query" }``."""
    document_body: Mapping[str, Any] = field(default_factory=dict)
    """More keys of requests for documents."""
    batch_size: WholeNumber = 32
    """At most so many texts in a request."""
    batch_characters: WholeNumber = 100_000
    """At most so many characters in a request."""
    concurrency: WholeNumber = 4
    """Requests that are under way at once."""
    timeout: Number = 60.0
    """Seconds after which a request fails."""
    retries: WholeNumber = 5
    """How often a request that failed is sent again."""
    patience: Number = 300.0
    """Seconds after which a request is given up, retries included."""

    def __post_init__(self) -> None:
        _check_url(self.url, {"/embeddings", "/rerank", f"/{self._path}", f"/{ABOUT.get(self.protocol, self._path)}"})
        check_values(self)
        check_instruction(self.instruction, self.instruct)
        if not self.name.isprintable() or " " in self.name:
            raise ValueError("name holds a space or a sign that cannot be printed; write it as the server spells it")
        if self.api_key_env is not None and not VARIABLE.fullmatch(self.api_key_env):
            raise ValueError(
                "api_key_env needs the name of an environment variable, in capitals, as in OPENAI_API_KEY; "
                "the key itself is written nowhere"
            )
        self._check_protocol()
        if self.reranks and (said := sorted(OF_EMBEDDINGS & self.changes().keys())):
            raise ValueError(f'{said[0]} is a setting of embeddings; leave it out, or set endpoint = "embeddings"')

    def _check_protocol(self) -> None:
        """Refuse what its requests say by themselves, or have no word for."""
        for table in ("body", "query_body", "document_body"):
            if said := sorted((OF_TEI if self.protocol == TEI else OF_OPENAI) & set(getattr(self, table))):
                raise ValueError(f'{table} holds "{said[0]}", which every request says by itself; leave it out')
        for setting in ONLY_OF.keys() & self.said().keys():
            if self.protocol not in (known := ONLY_OF[setting]):
                raise ValueError(f'{setting} is a setting of protocol = "{known[0]}"; leave it out')

    @property
    def reranks(self) -> bool:
        """Whether this scores pairs of texts, and makes no vectors."""
        return self.endpoint == "rerank"

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        host = urlsplit(self.url).hostname or ""
        return host in ("localhost", "::1") or re.fullmatch(r"127(\.[0-9]+){3}", host) is not None

    @property
    def _path(self) -> str:
        return "embed" if self.protocol == TEI and not self.reranks else self.endpoint

    @property
    def address(self) -> str:
        """Where requests go; it holds no key, user or password."""
        return f"{self.url.rstrip('/')}/{self._path}"

    @property
    def about(self) -> str | None:
        """Where the server says what it serves, to be held to it; None where its protocol has no such place."""
        return f"{self.url.rstrip('/')}/{ABOUT[self.protocol]}" if self.protocol in ABOUT else None


def _check_url(url: str, endings: Collection[str]) -> None:
    """Refuse an address that is none, or that may hold a secret; what may hold one is not repeated.

    Args:
        url: the base.
        endings: what is put behind it.
    """
    if "@" in url or "?" in url:
        asked = re.findall("[?&]([^=&#]*)=([^&#]*)", url)
        keys = [value for name, value in asked if SECRET.search(name.replace("-", "_"))]
        for one in (*keys, *find_passwords(url)):
            keep_secret(one)  # whoever shows what was typed does not show these
        raise ValueError(
            "url holds a user, a password or a query, which would be written into records; "
            "write it without, and name the environment variable of the key with api_key_env"
        )
    example = "expected an address such as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url)
        said = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        said = None
    if not said or not url.isprintable() or " " in url:
        raise ValueError(f'url = "{url}"; {example}')
    if parts.fragment or url.rstrip("/").endswith(tuple(endings)):
        raise ValueError(f'url = "{url}"; leave out what follows the base, {example}')
