"""A member at work with its sidecar, while services and the sidecar are killed: every late match is reported once.

Each upload is another picture. Once the sidecar remembers it, another member contributes an altered copy of the
picture, and withdraws every third contribution after the first member received its report.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from threading import Event, Thread

from hashdb.client import Client
from hashdb.domain.contributions import Status
from hashdb.domain.matching.lookback import Upload
from hashdb.domain.matching.matches import Query
from hashdb.errors import HashDBError
from tests.builders import draft, near, signal
from tests.faults.sidecars import Sidecar

_SEED = 5_000_000
_WITHIN = 180.0
_WITHDRAWN = 3
"""One of so many contributions is withdrawn."""
MATCHED, TAKEN_BACK = "matched", "taken-back"


class Work:
    """Uploads, contributions, withdrawals and reports, each in its own thread, until the work is stopped."""

    def __init__(self, contributor: Client, sidecar: Sidecar) -> None:
        """Starts nothing yet."""
        self._contributor, self._sidecar = contributor, sidecar
        self.remembered = 0
        self.contributed: list[int] = []
        self.reported: dict[int, list[str]] = defaultdict(list)
        self.repeated: list[int] = []
        self._last, self._acknowledged = 0, 0
        self._withdrawn = 0
        self._stop, self._full = Event(), Event()
        self._steps = (self._remember, self._contribute, self._withdraw, self._read)

    def run(self, count: int, faults: Sequence[Callable[[], None]], seed: int = 0) -> None:
        """Cause `count` faults, each after some more uploads; then finish the work, and check the reports."""
        threads = [Thread(target=self._repeat, args=[step]) for step in self._steps]
        for thread in threads:
            thread.start()
        chance = random.Random(seed)
        try:
            for number in range(count):
                enough = self.remembered + chance.randint(1, 15)
                _wait(partial(self._has, enough))
                time.sleep(chance.uniform(0, 0.5))
                faults[number % len(faults)]()
            self._full.set()
            _wait(self._is_complete)
            # By then, any repeated report has arrived.
            time.sleep(2)
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        self.check()

    def check(self) -> None:
        """Compare the reports with the expected reports."""
        assert not self.repeated, self.repeated
        unexpected = {number: self.reported[number] for number in range(self.remembered) if not self._is_right(number)}
        assert not unexpected and len(self.contributed) == self.remembered, unexpected

    def _has(self, count: int) -> bool:
        return self.remembered >= count

    def _is_complete(self) -> bool:
        return len(self.contributed) == self.remembered and all(map(self._is_right, range(self.remembered)))

    def _is_right(self, number: int) -> bool:
        return self.reported[number] == ([MATCHED] if number % _WITHDRAWN else [MATCHED, TAKEN_BACK])

    def _repeat(self, step: Callable[[], bool]) -> None:
        """Repeat a step, also after an error, as a program of a member does."""
        while not self._stop.is_set():
            has_more = False
            with suppress(HashDBError):
                has_more = step()
            if not has_more:
                time.sleep(0.02)

    def _remember(self) -> bool:
        if self._full.is_set():
            return False
        number = self.remembered
        with self._sidecar.client(retries=0) as client:
            client.remember([Upload(f"u-{number}", datetime.now(UTC), Query((signal(_SEED + number),)))])
        self.remembered = number + 1
        time.sleep(0.1)
        return True

    def _contribute(self) -> bool:
        """Contribute the picture of the next remembered upload."""
        number = len(self.contributed)
        if number == self.remembered:
            return False
        key = f"contribute-{number}"
        receipt = self._contributor.contribute([draft(near(signal(_SEED + number), 4))], idempotency_key=key)
        self.contributed.append(receipt.recorded[0].contribution.id)
        return True

    def _withdraw(self) -> bool:
        """Withdraw the next contribution that is to be withdrawn, once its match was reported."""
        if not self.reported[self._withdrawn]:
            return False
        id = self.contributed[self._withdrawn]
        # It may be withdrawn already, if the answer was lost.
        if self._contributor.contribution(id).status is Status.ACTIVE:
            self._contributor.withdraw(id, "false_match")
        self._withdrawn += _WITHDRAWN
        return True

    def _read(self) -> bool:
        """Read the reports, count each once, and acknowledge them."""
        with self._sidecar.client(retries=0) as client:
            reports = client.remembered_matches(limit=7, wait=1)
            for report in reports:
                if report.number <= self._acknowledged:
                    self.repeated.append(report.number)
                if report.number > self._last:
                    self.reported[int(report.upload.removeprefix("u-"))].append(str(report.kind))
                    self._last = report.number
            if reports:
                client.acknowledge(reports[-1].number)
                self._acknowledged = reports[-1].number
        return bool(reports)


def _wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + _WITHIN
    while not until():
        assert time.monotonic() < end, "the work does not advance"
        time.sleep(0.02)
