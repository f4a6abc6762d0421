"""One endpoint over HTTP: patient with what passes, plain about what does not, silent about the key."""

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from threading import Event
from typing import Any

from touchstone.config.api import ApiSpec
from touchstone.errors import ModelError, first_line
from touchstone.retrying import PASSING, backoff, retry_after

CHUNK = 1 << 16
TOLD = 200
# So much of a key in a server's message is taken for the key: some repeat it with its middle starred out.
KEY_BEGINS = 6
WRONG_KEY = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


@dataclass(slots=True)
class _PassingError(Exception):
    """What may be otherwise next time: what the server did, what to do if it stays so, how long it asks to wait."""

    reason: str
    advice: str
    wait: float = 0.0


class ApiClient:
    """Asks one endpoint. May be used by several threads.

    A request that fails in a way that may pass (429, 5xx, no connection, no or half an answer in time) is sent again:
    after what ``Retry-After`` says, or after a wait that doubles, half of it random, within the bounds of the
    specification. Keys are read from the environment for each request, and kept nowhere. Proxies and certificates are
    those of the environment; no redirect is followed, for the key would go along.

    Args:
        spec: the endpoint.
        alias: what errors call the model.
        wait: sleeps so many seconds; true when it was woken early. None for really waiting.

    Raises:
        ModelError: the environment variable of the key is not set, or holds no key.
    """

    def __init__(self, spec: ApiSpec, alias: str, wait: Callable[[float], bool] | None = None) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        self.spec = spec
        self.alias = alias
        self.stop = Event()
        self._wait = self.stop.wait if wait is None else wait
        self._key()
        self._session = requests.Session()
        self._session.trust_env = not spec.is_local  # a proxy cannot reach what is on this machine
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # none are kept
        self._session.headers["User-Agent"] = "touchstone-evals"
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=spec.concurrency, max_retries=0))

    def ask(self, body: Mapping[str, Any]) -> Any:
        """Send a request until it is answered; return the parsed JSON.

        Raises:
            ModelError: it was refused, or failed more often or for longer than the specification allows.
        """
        content = json.dumps(body).encode()
        started = time.monotonic()
        for failures in range(1, self.spec.retries + 2):
            try:
                return self._ask_once(content)
            except _PassingError as trouble:
                wait = max(trouble.wait, backoff(failures))
                spent = time.monotonic() - started
                if failures > self.spec.retries or spent + wait > self.spec.patience:
                    raise self.failure(self._given_up(trouble, failures, spent, wait)) from None
                if self._wait(wait):
                    raise self.failure(f"was not asked again: another request failed ({trouble.reason})") from None
        raise AssertionError("unreachable: the last failure raises")

    def failure(self, reason: str) -> ModelError:
        """Return an error that says what the server did."""
        return ModelError(f"{self.alias}: {self.spec.address} {reason}")

    def _ask_once(self, content: bytes) -> Any:
        import requests
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        slow = _PassingError(f"did not answer within {self.spec.timeout:g} s", "raise timeout, or lower batch_size")
        broken = _PassingError("closed the connection before its answer ended", "see the server's log")
        try:
            status, headers, answer = self._post(content)
        except (TimeoutError, ReadTimeoutError, requests.Timeout):
            raise slow from None
        except requests.exceptions.SSLError as error:
            raise self.failure(f"cannot be reached safely: {self._tell(first_line(error))}") from None
        except requests.ConnectionError as error:
            if "Connection aborted" in str(error):
                raise broken from None
            raise _PassingError("cannot be reached", "check url, and that the server runs") from None
        except HTTPError:
            raise broken from None
        except requests.RequestException as error:
            raise self.failure(f"cannot be asked: {self._tell(first_line(error))}") from None
        return self._read(status, headers, answer)

    def _post(self, content: bytes) -> tuple[int, Mapping[str, str], bytes]:
        """Send once.

        Raises:
            TimeoutError: the answer came, but too slowly.
            requests.RequestException: there was none.
            urllib3.exceptions.HTTPError: it did not come to an end.
        """
        started = time.monotonic()
        with self._session.post(
            self.spec.address,
            data=content,
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            auth=self._sign,
            timeout=self.spec.timeout,
            allow_redirects=False,
            stream=True,
        ) as response:
            answer = bytearray()
            # Whatever there is, so that a server that sends byte by byte is too slow as well.
            while chunk := response.raw.read1(CHUNK, decode_content=True):
                answer += chunk
                if time.monotonic() - started > self.spec.timeout:
                    raise TimeoutError
            return response.status_code, response.headers, bytes(answer)

    def _read(self, status: int, headers: Mapping[str, str], content: bytes) -> Any:
        """Parse an answer, or say what its status means."""
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            try:
                answer = json.loads(content)
            except ValueError:
                if content.lstrip()[:1] in (b"{", b"["):
                    raise _PassingError("gave half an answer", "see the server's log") from None
                raise self.failure("answered with what is no JSON; check url") from None
            if isinstance(answer, dict) and answer.get("error"):
                raise self.failure(f"answered with an error{self._message(content)}")
            return answer
        said = f"answered {status} ({_phrase(status)})"
        if status in PASSING:
            too_many = status == HTTPStatus.TOO_MANY_REQUESTS
            advice = "lower concurrency, or run later" if too_many else "see the server's log"
            raise _PassingError(f"{said}{self._message(content)}", advice, retry_after(headers.get("Retry-After")))
        raise self.failure(f"{said}{self._refusal(status, content)}")

    def _refusal(self, status: int, content: bytes) -> str:
        name = self.spec.api_key_env
        if status in WRONG_KEY:  # its message may repeat the key in part, and says no more
            if name is None:
                return "; it wants a key: name its environment variable with api_key_env in models.toml"
            return f"; the key in {name} is not the right one for it"
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            return "; write the address that it leads to as url"
        if status == HTTPStatus.NOT_FOUND:
            return f'{self._message(content)}; check url, and that it serves "{self.spec.name}"'
        return f"{self._message(content)}; max_characters cuts texts, batch_size and batch_characters bound a request"

    def _given_up(self, trouble: _PassingError, failures: int, spent: float, wait: float) -> str:
        times = "once" if failures == 1 else f"{failures} times"
        if trouble.wait and spent + wait > self.spec.patience and failures <= self.spec.retries:
            asked = f"asks to wait {trouble.wait:.0f} s, more than patience = {self.spec.patience:g} allows"
            return f"{trouble.reason} and {asked}; {trouble.advice}"
        return f"{trouble.reason}, {times} in {spent:.0f} s; {trouble.advice}"

    def _message(self, content: bytes) -> str:
        """Return what the server says of an error, after a colon; nothing if it says it in no usual way."""
        try:
            said = json.loads(content)
        except ValueError:
            return ""
        for name in ("error", "message", "detail"):
            said = said.get(name, said) if isinstance(said, dict) else said
        return f": {self._tell(said)}" if isinstance(said, str) and said.strip() else ""

    def _tell(self, text: str) -> str:
        """Make a server's words one line that does not hold the key."""
        key = self._key()
        if key is not None:
            text = re.sub(re.escape(key[:KEY_BEGINS]) + r"\S*", "[key]", text)
        line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
        return line if len(line) <= TOLD else line[: TOLD - 1] + "…"

    def _sign(self, request: Any) -> Any:
        """Put the key on a request; being there, this also keeps requests from looking for one in a .netrc file."""
        if self.spec.api_key_env is not None:
            request.headers["Authorization"] = f"Bearer {self._key()}"
        return request

    def _key(self) -> str | None:
        name = self.spec.api_key_env
        if name is None:
            return None
        said = os.environ.get(name, "").strip()
        if not said:
            raise ModelError(f"{self.alias}: the environment variable {name}, which api_key_env names, is not set")
        if not said.isascii() or not said.isprintable() or " " in said:
            raise ModelError(f"{self.alias}: the environment variable {name} holds signs that no key has")
        return said


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase.lower()
    except ValueError:
        return "no status of HTTP's"
