"""Count the requests that fail while a server stops: `python -m scripts.benchmarks.stops [--stops N] [--clients N]`.

Clients send one request on each connection, one connection after the other, to a server with two workers and a trivial
application. Then the server stops. A request may be answered, and a connection may be refused. A connection that the
server accepts and closes without a response counts as cut off.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from hashdb.cli.listening import check_port
from hashdb.cli.worker import ThreadedWorker
from scripts.benchmarks.engines import ROOT

_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
_SECONDS = 0.3
"""Seconds for which the clients send requests before the server stops."""


def main() -> None:
    """Stop a server many times and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stops", type=int, default=50, help="number of times that a server is stopped (default: 50)")
    parser.add_argument(
        "--clients", type=int, default=8, help="number of clients that send requests at the same time (default: 8)"
    )
    arguments = parser.parse_args()
    total, stops_with_cuts = Counter[str](), 0
    for _ in range(arguments.stops):
        outcomes = _stop_server(arguments.clients)
        total += outcomes
        stops_with_cuts += outcomes["cut off"] > 0
    print(
        f"{total['answered']:,} answered; {total['cut off']} cut off, in {stops_with_cuts} of {arguments.stops} stops"
    )


def _stop_server(clients: int) -> Counter[str]:
    """Stop one server; count the outcomes of the requests of the clients."""
    port = check_port("127.0.0.1", 0)
    command = [sys.executable, "-m", "tests.cli.two_workers", str(port), str(ThreadedWorker.patience)]
    with subprocess.Popen(command, cwd=ROOT) as server, ThreadPoolExecutor(clients) as pool:
        try:
            _wait_until_ready(server, port)
            running = [pool.submit(_send_until_refused, port) for _ in range(clients)]
            time.sleep(_SECONDS)
        finally:
            server.terminate()
        return sum((client.result() for client in running), Counter[str]())


def _wait_until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + 30
    while _send(port) != "answered":
        if server.poll() is not None or time.monotonic() > until:
            raise SystemExit("the server does not start")
        time.sleep(0.02)


def _send_until_refused(port: int) -> Counter[str]:
    outcomes = Counter[str]()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        outcome = _send(port)
        if outcome == "refused":
            return outcomes
        outcomes[outcome] += 1
    raise SystemExit("the server does not stop")


def _send(port: int) -> str:
    """Send a request on a new connection; return its outcome."""
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    except OSError:
        return "refused"
    with connection:
        try:
            connection.sendall(_REQUEST)
            return "answered" if connection.recv(1_000) else "cut off"
        except OSError:
            return "cut off"


if __name__ == "__main__":
    main()
