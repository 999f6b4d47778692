"""Send HTTP requests from a separate process: with wrk if it is installed, else with a client in Python."""

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
    """The requests to send: address, process of the service, key, and the bodies, which are used in turn."""

    url: str
    service: int
    key: str
    bodies: Sequence[bytes]
    content_type: str = "application/json"
    socket: str = ""
    """The Unix socket of the service, if it has one. wrk does not support Unix sockets."""
    by_python: bool = False
    """Whether to use the client in Python even if wrk is installed."""
    connection: str = "keep-alive"
    """The value of the Connection header; with "close", each request has a new connection."""


class LoadResult(NamedTuple):
    """Requests a second, percentiles in milliseconds, and processor microseconds of the service for a request."""

    rate: float
    p50: float
    p99: float
    work: float


def descendants(process: int) -> list[int]:
    """The ids of a process and of all processes that it started, directly or indirectly."""
    processes = [process]
    for tasks in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(OSError):
            for child in tasks.read_text().split():
                processes += descendants(int(child))
    return processes


def _processor_seconds(processes: Sequence[int]) -> float:
    """The processor time of processes until now, in seconds."""
    ticks = 0
    for process in processes:
        with suppress(OSError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def client() -> str:
    """The name of the client that sends the requests."""
    return "wrk" if shutil.which("wrk") else "a client in Python"


def send(load: Load, clients: int, seconds: float) -> LoadResult:
    """Send requests on `clients` connections, each request as soon as the service answers the last one."""
    with Sending(load, clients, seconds) as sending:
        return sending.result()


class Sending:
    """Sends requests in the background; `result` waits for the end."""

    def __init__(self, load: Load, clients: int, seconds: float) -> None:
        """Start the client."""
        self._folder = Path(tempfile.mkdtemp(prefix="hashdb-load-"))
        for number, body in enumerate(load.bodies, start=1):
            (self._folder / str(number)).write_bytes(body)
        (self._folder / "load.lua").write_text(_SCRIPT)
        arguments = [str(self._folder), load.key, load.content_type, str(len(load.bodies)), load.connection]
        if shutil.which("wrk") and not load.by_python:
            command = ["wrk", "-t", "1", "-c", str(clients), "-d", f"{seconds:.0f}s", "--timeout", "30s"]
            command += ["-s", str(self._folder / "load.lua"), load.url, "--", *arguments]
        else:
            command = [sys.executable, "-m", "scripts.benchmarks.load"]
            command += [load.url, str(clients), str(seconds), *arguments, load.socket]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._limit = seconds + 60
        self._service = descendants(load.service)
        self._before = _processor_seconds(self._service)

    def result(self) -> LoadResult:
        """Wait for the end; return what was measured. Raises SystemExit if a request failed."""
        out, _ = self._process.communicate(timeout=self._limit)
        result = json.loads(next(line for line in out.splitlines() if line.startswith("RESULT"))[len("RESULT") :])
        if result["failed"] or not result["requests"]:
            raise SystemExit(f"{result['failed']} of {result['requests']} requests failed")
        work = (_processor_seconds(self._service) - self._before) / result["requests"] * 1e6
        # Wait for the requests that were in progress when the client stopped, so that they do not slow the next load.
        time.sleep(2 * result["p99"] / 1e6)
        return LoadResult(result["requests"] / result["us"] * 1e6, result["p50"] / 1000, result["p99"] / 1000, work)

    def __enter__(self) -> Sending:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder)


async def _client(load: Load, until: float, start: int, step: int, times: list[float]) -> int:
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
        started = time.perf_counter()
        if writer.is_closing():
            reader, writer = await connect()
        writer.write(head + str(len(body)).encode() + b"\r\n\r\n" + body)
        response_head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in response_head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        if load.connection == "close":
            writer.close()
        times.append(time.perf_counter() - started)
        failed += not response_head.startswith(b"HTTP/1.1 2")
    writer.close()
    return failed


async def _clients(load: Load, clients: int, seconds: float) -> None:
    times: list[float] = []
    started = time.perf_counter()
    each = [_client(load, started + seconds, number, clients, times) for number in range(clients)]
    failed = sum(await asyncio.gather(*each))
    p50, p99 = np.percentile(times, (50, 99)) * 1e6
    result = {
        "requests": len(times),
        "us": (time.perf_counter() - started) * 1e6,
        "p50": p50,
        "p99": p99,
        "failed": failed,
    }
    print("RESULT", json.dumps(result))


def main() -> None:
    """Send the requests of the command line with the client in Python."""
    url, clients, seconds, folder, key, content_type, count, connection, socket = sys.argv[1:]
    bodies = [(Path(folder) / str(number)).read_bytes() for number in range(1, int(count) + 1)]
    load = Load(url, 0, key, bodies, content_type, socket, connection=connection)
    asyncio.run(_clients(load, int(clients), float(seconds)))


if __name__ == "__main__":
    main()
