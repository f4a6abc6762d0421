"""A guess of a server's protocol where none is given, by its answers to requests that cost it nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from touchstone.config.api import INFINITY, TEI, ApiSpec
from touchstone.config.models import Guess
from touchstone.errors import ConfigError, ModelError
from touchstone.formatting import shorten, some
from touchstone.models.api.client import ApiClient, RefusedError
from touchstone.models.api.protocols import capabilities, model_type, served_models

# In seconds: to wait longer for a slow server, name its protocol.
TIMEOUT = 10.0
QUOTE_LIMIT = 100
V1 = "/v1"
# Where a server may say what it serves, below an address that need not be its base. A server that lists models in both
# has OpenAI's protocol in the first, and perhaps an older one of its own in the other.
PLACES = (("", "info"), (V1, "models"), ("", "models"))


class Guesses:
    """Guesses what servers are, each once.

    Args:
        guesses: those of the process that owns the run, by `key_of`.
        offline: True to ask no server that is not on this machine.
    """

    def __init__(self, guesses: Mapping[str, Guess] | None = None, *, offline: bool = False) -> None:
        self.guesses = dict(guesses or {})
        self._offline = offline

    def __call__(self, url: str, name: str | None) -> Guess:
        """Return the guess of the server at an address.

        Args:
            url: its base, or for OpenAI's protocol what lies before ``/v1``.
            name: of the model there; None for the only one.

        Raises:
            ConfigError: no name is given, and it serves several models, or does not say which.
        """
        key = key_of(url, name)
        if key not in self.guesses:
            self.guesses[key] = _guess(url.rstrip("/"), name, offline=self._offline)
        return self.guesses[key]


def key_of(url: str, name: str | None) -> str:
    """Return the key of a guess."""
    return url if name is None else f"{url}#{name}"


def _guess(url: str, name: str | None, *, offline: bool) -> Guess:
    spec = ApiSpec(url=url, name=name or "?", timeout=TIMEOUT, retries=0)
    if offline and not spec.is_local:
        return _not_known(url, name, f"{url} is not asked under --offline")
    client = ApiClient(spec, f"api:{url}")
    for inside, path in PLACES:
        if inside and url.endswith(inside):
            continue
        base = url + inside
        try:
            choose = client.look(f"{base}/{path}", READERS[path])
        except RefusedError:
            continue  # it answers, and there may be something elsewhere
        except ModelError as error:
            return _not_known(url, name, str(error).removeprefix(f"{client.alias}: "))
        guess: Guess = choose(base, name)
        return guess
    return _not_known(url, name, f"{url} does not say what it serves")


def _not_known(url: str, name: str | None, why: str) -> Guess:
    if name is None:
        raise ConfigError(f"{why}; say the name of its model, as in api:{url}#NAME")
    return Guess(url=url, name=name, reason=f"{why}; taken for OpenAI's protocol")


Choice = Callable[[str, str | None], Guess]


def _read_info(answer: Any) -> Choice:
    """Read what text-embeddings-inference says, and other servers do not."""
    kind = model_type(answer)
    if kind is None:
        raise ValueError("is of another protocol")

    def choose(base: str, name: str | None) -> Guess:
        endpoint = "rerank" if kind == "reranker" else "embeddings"
        return _make(base, _choose(base, name, [answer["model_id"]]), TEI, endpoint)

    return choose


def _read_models(answer: Any) -> Choice:
    """Read a list of models: infinity says in it that it is infinity."""
    models = served_models(answer)
    is_infinity = any(facts.get("owned_by") == INFINITY for facts in models.values())

    def choose(base: str, name: str | None) -> Guess:
        chosen = _choose(base, name, list(models))
        tasks = capabilities(models.get(chosen, {})) if is_infinity else []
        endpoint = "rerank" if "rerank" in tasks and "embed" not in tasks else "embeddings"
        return _make(base, chosen, INFINITY if is_infinity else "openai", endpoint)

    return choose


READERS: Mapping[str, Callable[[Any], Choice]] = {"info": _read_info, "models": _read_models}


def _choose(base: str, name: str | None, served: Sequence[str]) -> str:
    if name is not None:
        return name
    if len(served) == 1:
        return served[0]
    names = some([f'"{shorten(model, QUOTE_LIMIT)}"' for model in served]) if served else "no model"
    example = f"; name one, as in api:{base}#{served[0]}" if served else ""
    raise ConfigError(f"{base} serves {names}{example}")


def _make(base: str, name: str, protocol: str, endpoint: str) -> Guess:
    reason = f'{base} serves "{shorten(name, QUOTE_LIMIT)}" by the protocol "{protocol}", asked for {endpoint}'
    return Guess(url=base, name=name, protocol=protocol, endpoint=endpoint, reason=reason)
