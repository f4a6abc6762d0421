"""Models behind an API: what ``models.toml`` may say of one."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from touchstone.config.base import Spec, check_instruction, check_values
from touchstone.files.validation import Number, Strict, WholeNumber
from touchstone.foreign import SECRET, find_passwords, keep_secret

# No API key has this form: a key in the place of its variable's name is refused before it is shown anywhere.
VARIABLE_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
OPENAI, TEI, INFINITY = "openai", "text-embeddings-inference", "infinity"
# Paths below the base at which servers describe the model that they serve, by protocol; the description is checked.
INFO_PATHS = {TEI: "info", INFINITY: "models"}
# Keys of requests that a specification sets by other keys.
OPENAI_KEYS = {
    "model", "input", "dimensions", "encoding_format", "query", "documents", "top_n", "return_documents",
}  # fmt: skip
TEI_KEYS = {"inputs", "truncate", "dimensions", "query", "texts", "return_text"}
EMBEDDING_SETTINGS = {"dimensions", "similarity", "prompts", "instruction", "query_body", "document_body"}
# Settings that only some protocols have, with these protocols.
PROTOCOLS_BY_SETTING = {"encoding": (OPENAI, INFINITY), "truncate": (TEI,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSpec(Spec, Strict):
    """A model behind an API."""

    kind: Literal["api"] = "api"
    url: str
    """The base address, without the endpoint."""
    name: str
    """The name that the server knows the model by."""
    protocol: Literal["openai", "text-embeddings-inference", "infinity"] = "openai"
    """``openai`` reranks in the form of Jina and Cohere. What servers of the others say of their model is checked."""
    endpoint: Literal["embeddings", "rerank"] = "embeddings"
    """The endpoint that requests go to."""
    api_key_env: str | None = None
    """The environment variable that holds the key. The key itself is written nowhere."""
    dimensions: WholeNumber | None = None
    """The width of vectors, asked of the server and checked."""
    max_characters: WholeNumber | None = None
    """Longer texts are truncated before they are sent; the prompt counts."""
    truncate: bool = True
    """Whether text-embeddings-inference truncates long texts; with ``false`` it refuses them."""
    encoding: Literal["float", "base64"] = "float"
    """The format in which the server returns vectors."""
    similarity: Literal["cosine", "dot"] = "cosine"
    """How vectors are compared."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """As for a dense encoder."""
    instruction: str | None = None
    """As for a dense encoder."""
    instruct: Literal["queries", "symmetric", "all"] = "symmetric"
    """As for a dense encoder."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """Additional keys of each request."""
    query_body: Mapping[str, Any] = field(default_factory=dict)
    """Additional keys of requests for queries, as in ``{ input_type = "query" }``."""
    document_body: Mapping[str, Any] = field(default_factory=dict)
    """Additional keys of requests for documents."""
    batch_size: WholeNumber = 32
    """The maximum number of texts in a request."""
    batch_characters: WholeNumber = 100_000
    """The maximum number of characters in a request."""
    concurrency: WholeNumber = 4
    """The maximum number of requests at once."""
    timeout: Number = 60.0
    """Seconds after which a request fails."""
    retries: WholeNumber = 5
    """How often a failed request is retried."""
    patience: Number = 300.0
    """Seconds after which a request fails for good, retries included."""

    def __post_init__(self) -> None:
        info_path = INFO_PATHS.get(self.protocol, self._path)
        _check_url(self.url, {"/embeddings", "/rerank", f"/{self._path}", f"/{info_path}"})
        check_values(self)
        check_instruction(self.instruction, self.instruct)
        if not self.name.isprintable() or " " in self.name:
            raise ValueError("name holds a space or a sign that cannot be printed; write it as the server spells it")
        if self.api_key_env is not None and not VARIABLE_NAME.fullmatch(self.api_key_env):
            raise ValueError(
                "api_key_env needs the name of an environment variable, in capitals, as in OPENAI_API_KEY; "
                "the key itself is written nowhere"
            )
        self._check_protocol()
        if self.reranks and (names := sorted(EMBEDDING_SETTINGS & self.changes().keys())):
            raise ValueError(f'{names[0]} is a setting of embeddings; leave it out, or set endpoint = "embeddings"')

    def _check_protocol(self) -> None:
        """Refuse keys that every request sets anyway, and settings that the protocol lacks."""
        for table in ("body", "query_body", "document_body"):
            if keys := sorted((TEI_KEYS if self.protocol == TEI else OPENAI_KEYS) & set(getattr(self, table))):
                raise ValueError(f'{table} holds "{keys[0]}", which every request says by itself; leave it out')
        for setting in PROTOCOLS_BY_SETTING.keys() & self.explicit_settings().keys():
            if self.protocol not in (protocols := PROTOCOLS_BY_SETTING[setting]):
                raise ValueError(f'{setting} is a setting of protocol = "{protocols[0]}"; leave it out')

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
        """The address at which the server describes its model, None for a protocol without one."""
        return f"{self.url.rstrip('/')}/{INFO_PATHS[self.protocol]}" if self.protocol in INFO_PATHS else None


def _check_url(url: str, endings: Collection[str]) -> None:
    """Refuse an invalid address, and one that may hold a secret without repeating it.

    Args:
        url: the base.
        endings: paths that are appended to the base.
    """
    if "@" in url or "?" in url:
        pairs = re.findall("[?&]([^=&#]*)=([^&#]*)", url)
        keys = [value for name, value in pairs if SECRET.search(name.replace("-", "_"))]
        for secret in (*keys, *find_passwords(url)):
            keep_secret(secret)  # whoever shows what was typed does not show these
        raise ValueError(
            "url holds a user, a password or a query, which would be written into records; "
            "write it without, and name the environment variable of the key with api_key_env"
        )
    example = "expected an address such as http://127.0.0.1:8000/v1"
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_address = None
    if not is_address or not url.isprintable() or " " in url:
        raise ValueError(f'url = "{url}"; {example}')
    if parts.fragment or url.rstrip("/").endswith(tuple(endings)):
        raise ValueError(f'url = "{url}"; leave out what follows the base, {example}')
