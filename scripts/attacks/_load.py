"""Requests at a service: a flood from a process of its own, and measured ones beside it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from scripts.benchmarks.engines import ROOT

_PATIENCE = 60.0
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Script:
    """What is sent again and again: the bodies in turns, with a key."""

    method: str
    path: str
    key: str
    bodies: Sequence[bytes]
    content_type: str = _JSON

    def spelled(self, number: int) -> bytes:
        """The bytes of a request."""
        body = self.bodies[number % len(self.bodies)]
        head = (
            f"{self.method} {self.path} HTTP/1.1\r\nHost: hashes.example\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(slots=True)
class Sample:
    """What became of requests: seconds of each that succeeded, and how many had which status (0: no answer)."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        """Requests in all."""
        return self.statuses.total()

    @property
    def failed(self) -> int:
        """Requests that did not succeed."""
        return sum(many for status, many in self.statuses.items() if not 200 <= status < 300)

    @property
    def p50(self) -> float:
        """Median, in seconds."""
        return float(np.percentile(self.seconds, 50)) if self.seconds else float("inf")

    @property
    def p99(self) -> float:
        """99th percentile, in seconds."""
        return float(np.percentile(self.seconds, 99)) if self.seconds else float("inf")


class _Connection:
    """One kept-alive connection, opened again where the service closes it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._there = parts.hostname or "", parts.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """The status of the answer, which is read whole; 0 where there is none."""
        try:
            return await asyncio.wait_for(self._ask(request), _PATIENCE)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self.close()
            return 0

    async def _ask(self, request: bytes) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._there)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in head:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
        else:
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
        if b"connection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        """Close it."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _loop(url: str, script: Script, until: float, start: int, step: int, sample: Sample) -> None:
    connection, number = _Connection(url), start
    while time.perf_counter() < until:
        begun = time.perf_counter()
        status = await connection.ask(script.spelled(number))
        sample.statuses[status] += 1
        if 200 <= status < 300:
            sample.seconds.append(time.perf_counter() - begun)
        number += step
    connection.close()


def measure(url: str, scripts: Mapping[str, Script], seconds: float) -> dict[str, Sample]:
    """Send each kind of request on a connection of its own, each as soon as the one before is answered."""
    samples = {name: Sample() for name in scripts}

    async def all_of_them() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(_loop(url, one, until, 0, 1, samples[name]) for name, one in scripts.items()))

    asyncio.run(all_of_them())
    return samples


class Flood:
    """What a flood was answered, once it has ended."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Of the process that sends it."""
        self._process = process

    def told(self) -> dict[str, int]:
        """How many requests had which status; waits for the end."""
        out, _ = self._process.communicate(timeout=_PATIENCE)
        assert self._process.returncode == 0, self._process.returncode
        told: dict[str, int] = json.loads(out)
        return told


@contextmanager
def flooding(url: str, script: Script, connections: int, seconds: float) -> Iterator[Flood]:
    """Send the same from another process on so many connections, without any pause, for at most so many seconds."""
    with tempfile.TemporaryDirectory(prefix="hashdb-flood-") as name:
        folder = Path(name)
        for number, body in enumerate(script.bodies):
            (folder / f"{number:06}").write_bytes(body)
        said = {"method": script.method, "path": script.path, "key": script.key, "content_type": script.content_type}
        words = [sys.executable, "-m", "scripts.attacks._load", url, str(connections), str(seconds), name]
        process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        # Not as an argument: everybody on the machine sees those.
        process.stdin.write(json.dumps(said))
        process.stdin.close()
        process.stdin = None
        try:
            yield Flood(process)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


def main() -> None:
    """The process that floods."""
    url, connections, seconds, folder = sys.argv[1:]
    said = json.loads(sys.stdin.read())
    script = Script(**said, bodies=[path.read_bytes() for path in sorted(Path(folder).iterdir())])
    sample = Sample()

    async def all_of_them() -> None:
        until, many = time.perf_counter() + float(seconds), int(connections)
        await asyncio.gather(*(_loop(url, script, until, number, many, sample) for number in range(many)))

    asyncio.run(all_of_them())
    print(json.dumps({str(status): many for status, many in sample.statuses.items()}))


if __name__ == "__main__":
    main()
