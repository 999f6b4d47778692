"""Turns: work that only one thread (or a few) may do at a time, shared among those that wait."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Event, Lock
from typing import Generic, Protocol, TypeVar

from hashdb.errors import Unavailable


class Turns:
    """Grants turns to waiting threads: to the keys in rotation, and within a key in order of arrival."""

    def __init__(self, at_once: int = 1) -> None:
        """No thread waits; `at_once` threads may have a turn at the same time."""
        self._lock = Lock()
        self._free = at_once
        # By key, the events that wake its waiting threads, in order of arrival; and the key that had the last turn.
        self._waiting: dict[str, deque[Event]] = {}
        self._last = ""

    @property
    def waiting(self) -> int:
        """How many threads wait for a turn."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    @contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Wait for a turn of this key, and hold it for the block."""
        granted = Event()
        with self._lock:
            self._waiting.setdefault(key, deque()).append(granted)
            self._grant()
        granted.wait()
        try:
            yield
        finally:
            with self._lock:
                self._free += 1
                self._grant()

    def _grant(self) -> None:
        """Grant the free turns; not to the key that had the last one while another key waits."""
        while self._free and self._waiting:
            key = next((key for key in self._waiting if key != self._last), self._last)
            queue = self._waiting.pop(key)
            queue.popleft().set()
            if queue:
                # The key goes behind the others.
                self._waiting[key] = queue
            self._free, self._last = self._free - 1, key


_SWITCH_INTERVAL = 0.0005
"""Seconds that the thread of a batch runs while others wait; Python's default is 0.005."""


class BatchTurns(Turns):
    """Grants turns to batches, one at a time.

    During a turn Python switches threads ten times as often; otherwise small requests wait for the batch's thread.
    """

    @contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Wait for a turn of this key, and hold it for the block."""
        with super().turn(key):
            usual = sys.getswitchinterval()
            sys.setswitchinterval(_SWITCH_INTERVAL)
            try:
                yield
            finally:
                sys.setswitchinterval(usual)


class Sized(Protocol):
    """A request with a size."""

    @property
    def size(self) -> int:
        """How much work the request is, in the unit of the limit `most` of its `GroupedRequests`."""


_RETRY_AFTER = 1
"""Seconds after which the client may repeat a request whose group was not handled to its end."""
_Request = TypeVar("_Request", bound=Sized)
_Answer = TypeVar("_Answer")
_Handle = Callable[[Sequence[_Request]], Sequence[_Answer | Exception]]


class _Waiting(Generic[_Request, _Answer]):
    """A request of a waiting thread, and its answer once there is one (a list of one).

    When `woken` is set without an answer, its thread handles the next group.
    """

    def __init__(self, request: _Request) -> None:
        self.request = request
        self.woken = Event()
        self.answer: list[_Answer | Exception] = []


class GroupedRequests(Generic[_Request, _Answer]):
    """Handles the requests that wait at the same time in one call: while a thread handles a group, the next one forms.

    A request that comes alone is handled at once, by its own thread.
    """

    def __init__(self, most: int, turn: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        """The sizes of the requests of a group are at most `most` together. A larger request is a group by itself.

        A group is formed when `turn` is entered: requests that arrive while its thread waits for the turn are in it.
        """
        self._most, self._turn = most, turn
        self._lock = Lock()
        self._handling = False
        self._waiting: deque[_Waiting[_Request, _Answer]] = deque()

    @property
    def waiting(self) -> int:
        """How many requests wait for the group that is handled now to end."""
        with self._lock:
            return len(self._waiting)

    def submit(self, request: _Request, handle: _Handle[_Request, _Answer]) -> _Answer:
        """Wait until the request is handled, and return its answer, or raise the exception that is its answer.

        `handle` returns the answer to each request of a group, in order; it must be the same in every call.
        """
        own = _Waiting[_Request, _Answer](request)
        with self._lock:
            self._waiting.append(own)
            alone, self._handling = not self._handling, True
        if not alone:
            own.woken.wait()
        if not own.answer:
            # This thread's request is the first that waits, so it is in the group.
            self._handle_group(handle)
        (answer,) = own.answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _form(self) -> list[_Waiting[_Request, _Answer]]:
        """The next group, which no longer waits."""
        with self._lock:
            group = [self._waiting.popleft()]
            size = group[0].request.size
            while self._waiting and (size := size + self._waiting[0].request.size) <= self._most:
                group.append(self._waiting.popleft())
        return group

    def _handle_group(self, handle: _Handle[_Request, _Answer]) -> None:
        """Handle the requests that wait now, and wake their threads and the thread that handles the next group."""
        group: list[_Waiting[_Request, _Answer]] = []
        try:
            with self._turn():
                group = self._form()
                answers: Sequence[_Answer | Exception] = handle([waiting.request for waiting in group])
        except Exception as error:
            # Without a group, the turn was refused before one was formed: those that wait get the error.
            group = group or self._form()
            self._answer(group, [error for _ in group])
        except BaseException:
            # For example SystemExit, which ends this thread only: the threads of the other requests go on.
            group = group or self._form()
            self._answer(group, [Unavailable(_RETRY_AFTER) for _ in group])
            raise
        else:
            self._answer(group, answers)

    def _answer(self, group: Sequence[_Waiting[_Request, _Answer]], answers: Sequence[_Answer | Exception]) -> None:
        """Wake the threads of a group with their answers, and the thread that handles the next group."""
        for waiting, answer in zip(group, answers, strict=True):
            waiting.answer.append(answer)
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._handling = following is not None
        for waiting in group:
            waiting.woken.set()
        if following:
            following.woken.set()
