"""Client of one server over HTTP: it retries transient failures, explains the others, and never shows the key."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.client import HTTPException, IncompleteRead
from threading import Event
from typing import Any

from touchstone.config.api import ApiSpec
from touchstone.errors import ModelError, first_line
from touchstone.files.json import load
from touchstone.foreign import Secret
from touchstone.formatting import render_size
from touchstone.models.api.lines import Line
from touchstone.retrying import TRANSIENT_STATUSES, backoff, retry_after

CHUNK_BYTES = 1 << 16
# The bytes that an answer may have: for each text a vector of 16,384 numbers of 32 characters; the request some times
# over, which servers repeat in an error; and a page of theirs.
VECTOR_BYTES, MAX_ECHOES, PAGE_BYTES = 1 << 19, 8, 1 << 20
QUOTE_LIMIT = 200
KEY_STATUSES = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
Answer = tuple[int, Mapping[str, str], bytes]  # status, headers, content


class RefusedError(ModelError):
    """A server refused a request, or its answer is wrong; ``status`` is the HTTP status of a refusal."""

    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """A request: a body for the endpoint, or none for an address where the server says what it serves."""

    address: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Trouble:
    """A failure of a request; with an advice where the next try may succeed, and the wait that the server asks for.

    It is returned and not raised: a traceback shows frames, and those here hold a key or a server's words.
    """

    reason: str
    advice: str = ""
    wait: float = 0.0
    status: int | None = None


class ApiClient:
    """Client of one server, which several threads may use.

    A transient failure (429, 5xx, no connection, no or half an answer within the timeout) is retried:
    after what ``Retry-After`` says, or after a wait that doubles, half of it random, within the bounds of the
    specification. Keys are read from the environment for each request, and kept nowhere. Proxies and certificates are
    those of the environment; no redirect is followed, for the key would go along. What a server answers may hold the
    key too, so that no frame from which an error is raised holds an answer.

    While ``stop`` is set, requests under way are cut and none is waited for.

    Args:
        spec: the endpoint.
        alias: what errors call the model.
        wait: sleeps so many seconds, and returns True if it was woken early; None for a real wait.

    Raises:
        ModelError: the environment variable of the key is not set, or holds no key.
    """

    def __init__(self, spec: ApiSpec, alias: str, wait: Callable[[float], bool] | None = None) -> None:
        self.spec = spec
        self.alias = alias
        self.stop = Event()
        self._wait = self.stop.wait if wait is None else wait
        self._idle: list[Line] = []
        self._key = None if spec.api_key_env is None else Secret(spec.api_key_env)
        self._check_key()

    def ask(
        self, body: Mapping[str, Any], parse: Callable[[Any], Any] = lambda reply: reply, *, retries: int | None = None
    ) -> Any:
        """Send a request until it is answered; return what ``parse`` makes of the answer.

        Args:
            body: of the request.
            parse: called with the JSON of the answer; its `ValueError` says what is wrong with that.
            retries: the most retries; None for as many as the specification says.

        Raises:
            RefusedError: it was refused, or the answer is not what was asked for.
            ModelError: it failed more often or for longer than the specification allows.
        """
        return self._ask(_Request(address=self.spec.address, content=json.dumps(body).encode()), parse, retries)

    def look(self, address: str, parse: Callable[[Any], Any] = lambda reply: reply) -> Any:
        """Get another address of the server, as patiently; arguments and errors as of `ask`."""
        return self._ask(_Request(address=address), parse, None)

    def _ask(self, request: _Request, parse: Callable[[Any], Any], retries: int | None) -> Any:
        self._check_key()
        started = time.monotonic()
        most = self.spec.retries if retries is None else retries
        for failures in range(1, most + 2):
            result = self._ask_once(request, parse)
            if not isinstance(result, _Trouble):
                return result
            if not result.advice:
                error = RefusedError(f"{self.alias}: {request.address} {result.reason}")
                error.status = result.status
                raise error
            wait = max(result.wait, backoff(failures))
            spent = time.monotonic() - started
            if failures > most or spent + wait > self.spec.patience:
                raise self.failure(self._given_up(result, failures, spent, wait), request.address)
            if self._wait(wait):
                raise self.failure(f"was not asked again: another request failed ({result.reason})", request.address)
        raise AssertionError("unreachable: the last failure raises")

    def failure(self, reason: str, address: str | None = None) -> ModelError:
        """Return an error that says what the server did, at its endpoint or at another address."""
        return ModelError(f"{self.alias}: {address or self.spec.address} {reason}")

    def _ask_once(self, request: _Request, parse: Callable[[Any], Any]) -> Any:
        """Return what ``parse`` makes of the answer, or a `_Trouble`."""
        try:
            line = self._idle.pop()
        except IndexError:
            line = Line()
            line.session.trust_env = not self.spec.is_local  # a proxy cannot reach what is on this machine
        answer = line.run(partial(self._send, request), seconds=self.spec.timeout, stop=self.stop)
        if answer is None and self.stop.is_set():
            return _Trouble("was not waited for: another request failed")
        if answer is None or isinstance(answer, _Trouble):
            return answer or self._trouble(TimeoutError())
        self._idle.append(line)
        try:
            return self._parse_reply(request, answer, parse)
        except Exception as error:  # whatever it is, its frames hold the answer
            return _Trouble(f"answered with what cannot be read ({type(error).__name__})")

    def _send(self, request: _Request, session: Any) -> Answer | _Trouble:
        """Send a request once, and return the reply, or a `_Trouble` for any exception."""
        content, limit = request.content, PAGE_BYTES
        if content is not None:
            limit += VECTOR_BYTES * self.spec.batch_size + MAX_ECHOES * len(content)
        options = {"auth": self._sign, "timeout": self.spec.timeout, "allow_redirects": False, "stream": True}
        method = "GET" if content is None else "POST"
        try:
            with session.request(method, request.address, data=content, **options) as response:
                answer = bytearray()
                while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
                    answer += chunk  # unpacked: what is small on the way may be large
                    if len(answer) > limit:
                        return _Trouble(f"answered with over {render_size(limit)}, which no texts need; check url")
                return response.status_code, response.headers, bytes(answer)
        except BaseException as error:
            return self._trouble(error)

    def _trouble(self, error: BaseException) -> _Trouble:
        """Describe an exception in our own words, for those of libraries may hold the key."""
        import requests
        from urllib3.exceptions import DecodeError, HTTPError, ReadTimeoutError

        if isinstance(error, TimeoutError | ReadTimeoutError | requests.Timeout):
            return _Trouble(f"did not answer within {self.spec.timeout:g} s", "raise timeout, or lower batch_size")
        if isinstance(error, requests.exceptions.SSLError):
            return _Trouble(f"cannot be reached safely: {self._tell(first_line(error))}")
        cause = error
        while cause.args and isinstance(cause.args[-1], BaseException):
            cause = cause.args[-1]
        garbled = isinstance(cause, HTTPException) and not isinstance(cause, OSError | IncompleteRead)
        if garbled or isinstance(error, DecodeError):
            return _Trouble(f"answered, but not in HTTP ({self._tell(first_line(cause))})", "check url")
        if isinstance(error, requests.ConnectionError) and isinstance(cause, HTTPError):
            return _Trouble("cannot be reached", "check url, and that the server runs")
        if isinstance(error, requests.ConnectionError | HTTPError):
            return _Trouble("closed the connection before its answer ended", "see the server's log")
        return _Trouble(f"cannot be asked ({type(error).__name__}); check url, and the proxies of the environment")

    def _parse_reply(self, request: _Request, reply: Answer, parse: Callable[[Any], Any]) -> Any:
        """Return what ``parse`` makes of a reply, or what is wrong with its status or content."""
        status, headers, content = reply
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            answer = _parse(content)
            if isinstance(answer, dict) and answer.get("error"):
                return _Trouble(f"answered with an error{self._message(content)}")
            try:
                return answer if isinstance(answer, _Trouble) else parse(answer)
            except ValueError as error:
                return _Trouble(self._tell(str(error)))
        outcome = f"answered {status} ({_phrase(status)})"
        if status in TRANSIENT_STATUSES:
            too_many = status == HTTPStatus.TOO_MANY_REQUESTS
            advice = "lower concurrency, or run later" if too_many else "see the server's log"
            return _Trouble(f"{outcome}{self._message(content)}", advice, retry_after(headers.get("Retry-After")))
        return _Trouble(f"{outcome}{self._refusal(request, status, content)}", status=status)

    def _refusal(self, request: _Request, status: int, content: bytes) -> str:
        name = self.spec.api_key_env
        if status in KEY_STATUSES:  # its message may repeat the key in part, and says no more
            if name is None:
                return "; it wants a key: name its environment variable with api_key_env in models.toml"
            return f"; the key in {name} is not the right one for it"
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return "; write the address that it leads to as url"
        if request.content is None:
            return f"{self._message(content)}; check url and protocol"
        if status == HTTPStatus.NOT_FOUND:
            return f'{self._message(content)}; check url, and that it serves "{self.spec.name}"'
        return f"{self._message(content)}; max_characters cuts texts, batch_size and batch_characters bound a request"

    def _given_up(self, trouble: _Trouble, failures: int, spent: float, wait: float) -> str:
        times = "once" if failures == 1 else f"{failures} times"
        if trouble.wait and spent + wait > self.spec.patience and failures <= self.spec.retries:
            request = f"asks to wait {trouble.wait:.0f} s, more than patience = {self.spec.patience:g} allows"
            return f"{trouble.reason} and {request}; {trouble.advice}"
        return f"{trouble.reason}, {times} in {spent:.0f} s; {trouble.advice}"

    def _message(self, content: bytes) -> str:
        """Return the message of a server's error after a colon; ``""`` if it has no usual form."""
        value = _parse(content)
        for name in ("error", "message", "detail"):
            value = value.get(name, value) if isinstance(value, dict) else value
        return f": {self._tell(value)}" if isinstance(value, str) and value.strip() else ""

    def _tell(self, text: str) -> str:
        """Make a server's words one line that does not hold the key."""
        text = text if self._key is None else self._key.hide(text)
        line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        return line if len(line) <= QUOTE_LIMIT else line[: QUOTE_LIMIT - 1] + "…"

    def _sign(self, request: Any) -> Any:
        """Put the key on a request; being there, this also keeps requests from looking for one in a .netrc file."""
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request

    def _check_key(self) -> None:
        if self._key is None:
            return
        what = f"{self.alias}: the environment variable {self._key.variable}"
        if not self._key.reveal():
            raise ModelError(f"{what}, which api_key_env names, is not set")
        if not self._key.reveal().isascii() or not self._key.reveal().isprintable() or " " in self._key.reveal():
            raise ModelError(f"{what} holds characters that no key has")


def _parse(content: bytes) -> Any:
    """Return the JSON of an answer, or a `_Trouble`."""
    try:
        return load(content)
    except json.JSONDecodeError:
        if content.lstrip()[:1] in (b"{", b"["):
            return _Trouble("gave an incomplete answer", "see the server's log")
        return _Trouble("answered with what is no JSON; check url")
    except UnicodeDecodeError:
        return _Trouble("answered with what is not UTF-8; check url")
    except RecursionError:
        return _Trouble("answered with JSON that is nested too deep; check url")
    except ValueError:  # Python reads no integer of so many digits
        return _Trouble("answered with an integer of thousands of digits; check url")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return "no status of HTTP's"
