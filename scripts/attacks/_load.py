"""Send requests to a service: a flood from a separate process, and measured requests at the same time."""

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

_TIMEOUT = 60.0
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Script:
    """A request that is sent repeatedly with a key; it uses its bodies in turn."""

    method: str
    path: str
    key: str
    bodies: Sequence[bytes]
    content_type: str = _JSON

    def encoded(self, number: int) -> bytes:
        """The bytes of a request."""
        body = self.bodies[number % len(self.bodies)]
        head = (
            f"{self.method} {self.path} HTTP/1.1\r\nHost: hashes.example\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@dataclass(slots=True)
class Sample:
    """The results of requests: seconds of each successful one, and a count for each status (0: no response)."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        """Number of requests."""
        return self.statuses.total()

    @property
    def failed(self) -> int:
        """Number of requests that did not succeed."""
        return sum(count for status, count in self.statuses.items() if not 200 <= status < 300)

    @property
    def p50(self) -> float:
        """Median, in seconds."""
        return float(np.percentile(self.seconds, 50)) if self.seconds else float("inf")

    @property
    def p99(self) -> float:
        """99th percentile, in seconds."""
        return float(np.percentile(self.seconds, 99)) if self.seconds else float("inf")


class _Connection:
    """One kept-alive connection, opened again when the service closes it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: bytes) -> int:
        """Send a request and read the whole response; return its status, or 0 without a response."""
        try:
            return await asyncio.wait_for(self._send(request), _TIMEOUT)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self.close()
            return 0

    async def _send(self, request: bytes) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._address)
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
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _loop(url: str, script: Script, until: float, start: int, step: int, sample: Sample) -> None:
    connection, number = _Connection(url), start
    while time.perf_counter() < until:
        started = time.perf_counter()
        status = await connection.send(script.encoded(number))
        sample.statuses[status] += 1
        if 200 <= status < 300:
            sample.seconds.append(time.perf_counter() - started)
        number += step
    connection.close()


def measure(url: str, scripts: Mapping[str, Script], seconds: float) -> dict[str, Sample]:
    """Send each kind of request on its own connection, each request as soon as the service answers the last one."""
    samples = {name: Sample() for name in scripts}

    async def send_all() -> None:
        until = time.perf_counter() + seconds
        await asyncio.gather(*(_loop(url, script, until, 0, 1, samples[name]) for name, script in scripts.items()))

    asyncio.run(send_all())
    return samples


class Flood:
    """A flood that a process sends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Keep the process that sends the flood."""
        self._process = process

    def statuses(self) -> dict[str, int]:
        """Wait for the end of the flood; return the number of requests for each status."""
        out, _ = self._process.communicate(timeout=_TIMEOUT)
        assert self._process.returncode == 0, self._process.returncode
        counts: dict[str, int] = json.loads(out)
        return counts


@contextmanager
def flooding(url: str, script: Script, connections: int, seconds: float) -> Iterator[Flood]:
    """Send the request from another process on `connections` connections, without a pause, for at most `seconds`."""
    with tempfile.TemporaryDirectory(prefix="hashdb-flood-") as name:
        folder = Path(name)
        for number, body in enumerate(script.bodies):
            (folder / f"{number:06}").write_bytes(body)
        fields = {"method": script.method, "path": script.path, "key": script.key, "content_type": script.content_type}
        command = [sys.executable, "-m", "scripts.attacks._load", url, str(connections), str(seconds), name]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        # Pass the key by stdin: every user of the machine can see the arguments of a process.
        process.stdin.write(json.dumps(fields))
        process.stdin.close()
        process.stdin = None
        try:
            yield Flood(process)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


def main() -> None:
    """Send the flood: the arguments and stdin describe it."""
    url, connections, seconds, folder = sys.argv[1:]
    fields = json.loads(sys.stdin.read())
    script = Script(**fields, bodies=[path.read_bytes() for path in sorted(Path(folder).iterdir())])
    sample = Sample()

    async def send_all() -> None:
        until, step = time.perf_counter() + float(seconds), int(connections)
        await asyncio.gather(*(_loop(url, script, until, number, step, sample) for number in range(step)))

    asyncio.run(send_all())
    print(json.dumps({str(status): count for status, count in sample.statuses.items()}))


if __name__ == "__main__":
    main()
