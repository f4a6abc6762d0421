"""Calls of the user's own code: in one thread, with a timeout, and one sentence for each exception."""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from touchstone.errors import ModelError, first_line

T = TypeVar("T")
_Task = tuple[Future[Any], Callable[[], Any]]


class _LeaveError(Exception):
    """An exception that would end the process, such as SystemExit: a call must not decide that."""


class OwnThread:
    """One thread that all calls of an object are made in: some objects, such as database connections, need that.

    After a call that took too long the thread is left behind with whatever it holds, and takes no more calls.
    """

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._is_lost = False
        threading.Thread(target=self._work, daemon=True).start()

    def run(self, call: Callable[[], T], what: str, *, seconds: float, key: str) -> T:
        """Return what a call returns.

        Args:
            call: the call.
            what: the name of the call, in errors.
            seconds: the timeout.
            key: the setting of the timeout, in errors.

        Raises:
            ModelError: it raised something, or took too long.
        """
        if self._is_lost:
            raise ModelError(f"{what} was not called: an earlier call has not returned")
        done: Future[T] = Future()
        self._tasks.put((done, call))
        try:
            return done.result(timeout=seconds)
        except TimeoutError as error:
            if done.done():  # raised by the call itself
                raise ModelError(f"{what} raised {first_line(error)}") from error
            self._is_lost = True
            raise ModelError(f"{what} did not return within {seconds:g} s; raise {key}, or mend it") from None
        except KeyboardInterrupt:
            self._is_lost = True
            raise
        except _LeaveError as error:
            raise ModelError(f"{what} raised {error}") from None
        except Exception as error:
            raise ModelError(f"{what} raised {first_line(error)}") from error

    def _work(self) -> None:
        while True:
            done, call = self._tasks.get()
            try:
                done.set_result(call())
            except Exception as error:
                done.set_exception(error)
            except BaseException as error:
                done.set_exception(_LeaveError(f"{type(error).__name__} {error}"))


class CallersThread(OwnThread):
    """The thread of a program that made the object itself; a call takes as long as it takes."""

    def __init__(self) -> None:
        """Start no other."""

    def run(self, call: Callable[[], T], what: str, **_limit: Any) -> T:
        """Return what a call returns.

        Raises:
            ModelError: it raised something.
        """
        try:
            return call()
        except Exception as error:
            raise ModelError(f"{what} raised {first_line(error)}") from error


@contextmanager
def blame(what: str) -> Iterator[None]:
    """Turn a `ValueError` about an answer into a sentence about who gave it.

    Raises:
        ModelError: beginning with ``what``.
    """
    try:
        yield
    except ValueError as error:
        raise ModelError(f"{what} {error}") from None
