"""One server over HTTP: patient with what passes, plain about what does not, silent about the key."""

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

CHUNK = 1 << 16
# The bytes that an answer may have: for each text a vector of 16,384 numbers of 32 signs, what was sent some times
# over, as servers repeat it that say what is wrong with it, and a page of theirs.
VECTOR, ECHOES, PAGE = 1 << 19, 8, 1 << 20
TOLD = 200
WRONG_KEY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
Answer = tuple[int, Mapping[str, str], bytes]  # status, headers, content


class RefusedError(ModelError):
    """A server answered, and with something else than what was asked for; ``status`` is HTTP's, where that says so."""

    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What is sent: a body to the endpoint, or nothing to where the server says what it serves."""

    address: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What a server did; with an advice what may be otherwise next time, and how long it asks to wait.

    It is returned and not raised: the frames of what raises are shown, and theirs hold a key or a server's words.
    """

    reason: str
    advice: str = ""
    wait: float = 0.0
    status: int | None = None


class ApiClient:
    """Asks one server. May be used by several threads.

    A request that fails in a way that may pass (429, 5xx, no connection, no or half an answer in time) is sent again:
    after what ``Retry-After`` says, or after a wait that doubles, half of it random, within the bounds of the
    specification. Keys are read from the environment for each request, and kept nowhere. Proxies and certificates are
    those of the environment; no redirect is followed, for the key would go along. What a server answers may hold the
    key too, so that no frame from which an error is raised holds an answer.

    While ``stop`` is set, requests under way are cut and none is waited for.

    Args:
        spec: the endpoint.
        alias: what errors call the model.
        wait: sleeps so many seconds; true when it was woken early. None for really waiting.

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
        self, body: Mapping[str, Any], read: Callable[[Any], Any] = lambda answer: answer, *, retries: int | None = None
    ) -> Any:
        """Send a request until it is answered; return what is read in the answer.

        Args:
            body: of the request.
            read: given the parsed JSON; a `ValueError` of it says what is wrong with that.
            retries: how often it is sent again at most; None for as often as the specification says.

        Raises:
            RefusedError: it was refused, or the answer is not what was asked for.
            ModelError: it failed more often or for longer than the specification allows.
        """
        return self._ask(_Request(address=self.spec.address, content=json.dumps(body).encode()), read, retries)

    def look(self, address: str, read: Callable[[Any], Any] = lambda answer: answer) -> Any:
        """Get what the server says at another address of it, as patiently; arguments and errors as of `ask`."""
        return self._ask(_Request(address=address), read, None)

    def _ask(self, request: _Request, read: Callable[[Any], Any], retries: int | None) -> Any:
        self._check_key()
        started = time.monotonic()
        most = self.spec.retries if retries is None else retries
        for failures in range(1, most + 2):
            found = self._ask_once(request, read)
            if not isinstance(found, _Trouble):
                return found
            if not found.advice:
                refused = RefusedError(f"{self.alias}: {request.address} {found.reason}")
                refused.status = found.status
                raise refused
            wait = max(found.wait, backoff(failures))
            spent = time.monotonic() - started
            if failures > most or spent + wait > self.spec.patience:
                raise self.failure(self._given_up(found, failures, spent, wait), request.address)
            if self._wait(wait):
                raise self.failure(f"was not asked again: another request failed ({found.reason})", request.address)
        raise AssertionError("unreachable: the last failure raises")

    def failure(self, reason: str, address: str | None = None) -> ModelError:
        """Return an error that says what the server did, at its endpoint unless another address of it is named."""
        return ModelError(f"{self.alias}: {address or self.spec.address} {reason}")

    def _ask_once(self, request: _Request, read: Callable[[Any], Any]) -> Any:
        """Return what is read in the answer, or a `_Trouble`."""
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
            return self._read(request, answer, read)
        except Exception as error:  # whatever it is, its frames hold the answer
            return _Trouble(f"answered with what cannot be read ({type(error).__name__})")

    def _send(self, request: _Request, session: Any) -> Answer | _Trouble:
        """Send once, and read what comes; whatever is raised ends here."""
        content, longest = request.content, PAGE
        if content is not None:
            longest += VECTOR * self.spec.batch_size + ECHOES * len(content)
        how = {"auth": self._sign, "timeout": self.spec.timeout, "allow_redirects": False, "stream": True}
        method = "GET" if content is None else "POST"
        try:
            with session.request(method, request.address, data=content, **how) as response:
                answer = bytearray()
                while chunk := response.raw.read1(CHUNK, decode_content=True):
                    answer += chunk  # unpacked: what is small on the way may be large
                    if len(answer) > longest:
                        return _Trouble(f"answered with over {render_size(longest)}, which no texts need; check url")
                return response.status_code, response.headers, bytes(answer)
        except BaseException as error:
            return self._trouble(error)

    def _trouble(self, error: BaseException) -> _Trouble:
        """Return what a failure means in our words, for those of libraries may hold the key."""
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
            return _Trouble(f"answered not as HTTP says ({self._tell(first_line(cause))})", "check url")
        if isinstance(error, requests.ConnectionError) and isinstance(cause, HTTPError):
            return _Trouble("cannot be reached", "check url, and that the server runs")
        if isinstance(error, requests.ConnectionError | HTTPError):
            return _Trouble("closed the connection before its answer ended", "see the server's log")
        return _Trouble(f"cannot be asked ({type(error).__name__}); check url, and the proxies of the environment")

    def _read(self, request: _Request, answered: Answer, read: Callable[[Any], Any]) -> Any:
        """Return what is read in the answer, or what is wrong with it by its status or by itself."""
        status, headers, content = answered
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            answer = _parse(content)
            if isinstance(answer, dict) and answer.get("error"):
                return _Trouble(f"answered with an error{self._message(content)}")
            try:
                return answer if isinstance(answer, _Trouble) else read(answer)
            except ValueError as error:
                return _Trouble(self._tell(str(error)))
        said = f"answered {status} ({_phrase(status)})"
        if status in TRANSIENT_STATUSES:
            too_many = status == HTTPStatus.TOO_MANY_REQUESTS
            advice = "lower concurrency, or run later" if too_many else "see the server's log"
            return _Trouble(f"{said}{self._message(content)}", advice, retry_after(headers.get("Retry-After")))
        return _Trouble(f"{said}{self._refusal(request, status, content)}", status=status)

    def _refusal(self, request: _Request, status: int, content: bytes) -> str:
        name = self.spec.api_key_env
        if status in WRONG_KEY:  # its message may repeat the key in part, and says no more
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
            asked = f"asks to wait {trouble.wait:.0f} s, more than patience = {self.spec.patience:g} allows"
            return f"{trouble.reason} and {asked}; {trouble.advice}"
        return f"{trouble.reason}, {times} in {spent:.0f} s; {trouble.advice}"

    def _message(self, content: bytes) -> str:
        """Return what the server says of an error, after a colon; nothing if it says it in no usual way."""
        said = _parse(content)
        for name in ("error", "message", "detail"):
            said = said.get(name, said) if isinstance(said, dict) else said
        return f": {self._tell(said)}" if isinstance(said, str) and said.strip() else ""

    def _tell(self, text: str) -> str:
        """Make a server's words one line that does not hold the key."""
        text = text if self._key is None else self._key.hide(text)
        line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        return line if len(line) <= TOLD else line[: TOLD - 1] + "…"

    def _sign(self, request: Any) -> Any:
        """Put the key on a request; being there, this also keeps requests from looking for one in a .netrc file."""
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request

    def _check_key(self) -> None:
        if self._key is None:
            return
        if not self._key.reveal():
            what = f"{self._key.variable}, which api_key_env names, is not set"
            raise ModelError(f"{self.alias}: the environment variable {what}")
        if not self._key.reveal().isascii() or not self._key.reveal().isprintable() or " " in self._key.reveal():
            raise ModelError(f"{self.alias}: the environment variable {self._key.variable} holds signs that no key has")


def _parse(content: bytes) -> Any:
    """Return the JSON of an answer, or a `_Trouble`."""
    try:
        return load(content)
    except json.JSONDecodeError:
        if content.lstrip()[:1] in (b"{", b"["):
            return _Trouble("gave half an answer", "see the server's log")
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
