"""Requests over HTTP from a process of its own: by wrk where it is installed, else by a client in Python."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np

from scripts.benchmarks.engines import ROOT

_SCRIPT = """
local requests, at = {}, 0
init = function(args)
  for i = 1, tonumber(args[4]) do
    local file = io.open(args[1] .. "/" .. i, "rb")
    local headers = {["Authorization"] = "Bearer " .. args[2], ["Content-Type"] = args[3], ["Connection"] = args[5]}
    requests[i] = wrk.format("POST", nil, headers, file:read("*a"))
    file:close()
  end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
done = function(summary, latency, _)
  local errors = summary.errors
  io.write(string.format('RESULT {"requests": %d, "us": %d, "p50": %d, "p99": %d, "failed": %d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


class Load(NamedTuple):
    """What is sent: to where (and the service's process), with which key, and the bodies, in turns."""

    url: str
    service: int
    key: str
    bodies: Sequence[bytes]
    content_type: str = "application/json"
    socket: str = ""
    """The Unix socket on which the service listens, if it does; wrk knows none."""
    by_python: bool = False
    """Whether to send by the client in Python in any case."""
    connection: str = "keep-alive"
    """The header of this name; with "close", each request has a connection of its own."""


class Told(NamedTuple):
    """Requests a second, milliseconds, and microseconds of the service's processor time a request."""

    rate: float
    p50: float
    p99: float
    work: float


def descendants(process: int) -> list[int]:
    """A process, those that it started, and so on."""
    found = [process]
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            found += [one for child in tasks.read_text().split() for one in descendants(int(child))]
    return found


def _worked(processes: Sequence[int]) -> float:
    """Seconds of processor time that processes have had."""
    ticks = 0
    for process in processes:
        with suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def client() -> str:
    """Which client is used."""
    return "wrk" if shutil.which("wrk") else "a client in Python"


def send(load: Load, clients: int, seconds: float) -> Told:
    """Send requests over so many connections, each as soon as the one before is answered."""
    with Sending(load, clients, seconds) as sending:
        return sending.told()


class Sending:
    """The same, in the background until `told` is asked."""

    def __init__(self, load: Load, clients: int, seconds: float) -> None:
        """Start the client."""
        self._folder = Path(tempfile.mkdtemp(prefix="hashdb-load-"))
        for number, body in enumerate(load.bodies, start=1):
            (self._folder / str(number)).write_bytes(body)
        (self._folder / "load.lua").write_text(_SCRIPT)
        arguments = [str(self._folder), load.key, load.content_type, str(len(load.bodies)), load.connection]
        if shutil.which("wrk") and not load.by_python:
            words = ["wrk", "-t", "1", "-c", str(clients), "-d", f"{seconds:.0f}s", "--timeout", "30s"]
            words += ["-s", str(self._folder / "load.lua"), load.url, "--", *arguments]
        else:
            words = [sys.executable, "-m", "scripts.benchmarks.load", load.url, str(clients), str(seconds), *arguments]
            words.append(load.socket)
        self._process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._limit = seconds + 60
        self._service = descendants(load.service)
        self._before = _worked(self._service)

    def told(self) -> Told:
        """Wait for the end. Raises SystemExit where a request failed."""
        out, _ = self._process.communicate(timeout=self._limit)
        said = json.loads(next(line for line in out.splitlines() if line.startswith("RESULT"))[len("RESULT") :])
        if said["failed"] or not said["requests"]:
            raise SystemExit(f"{said['failed']} of {said['requests']} requests failed")
        work = (_worked(self._service) - self._before) / said["requests"] * 1e6
        # What was under way when the client stopped is answered by then, and is not in the way of what follows.
        time.sleep(2 * said["p99"] / 1e6)
        return Told(said["requests"] / said["us"] * 1e6, said["p50"] / 1000, said["p99"] / 1000, work)

    def __enter__(self) -> Sending:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder)


async def _client(load: Load, until: float, start: int, step: int, taken: list[float]) -> int:
    parts, failed = urlsplit(load.url), 0
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {load.key}\r\n"
        f"Content-Type: {load.content_type}\r\nConnection: {load.connection}\r\nContent-Length: "
    ).encode()

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if load.socket:
            return await asyncio.open_unix_connection(load.socket)
        return await asyncio.open_connection(parts.hostname, parts.port)

    reader, writer = await connect()
    while time.perf_counter() < until:
        body = load.bodies[start % len(load.bodies)]
        start += step
        begun = time.perf_counter()
        if writer.is_closing():
            reader, writer = await connect()
        writer.write(head + str(len(body)).encode() + b"\r\n\r\n" + body)
        answered = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in answered.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        if load.connection == "close":
            writer.close()
        taken.append(time.perf_counter() - begun)
        failed += not answered.startswith(b"HTTP/1.1 2")
    writer.close()
    return failed


async def _clients(load: Load, clients: int, seconds: float) -> None:
    taken: list[float] = []
    begun = time.perf_counter()
    each = [_client(load, begun + seconds, number, clients, taken) for number in range(clients)]
    failed = sum(await asyncio.gather(*each))
    p50, p99 = np.percentile(taken, (50, 99)) * 1e6
    said = {"requests": len(taken), "us": (time.perf_counter() - begun) * 1e6, "p50": p50, "p99": p99, "failed": failed}
    print("RESULT", json.dumps(said))


def main() -> None:
    """The client in Python."""
    url, clients, seconds, folder, key, content_type, many, connection, socket = sys.argv[1:]
    bodies = [(Path(folder) / str(number)).read_bytes() for number in range(1, int(many) + 1)]
    load = Load(url, 0, key, bodies, content_type, socket, connection=connection)
    asyncio.run(_clients(load, int(clients), float(seconds)))


if __name__ == "__main__":
    main()
