"""How many clients are cut off as a server stops: `python -m scripts.benchmarks.stops [--stops N] [--clients N]`.

Clients send one request on each connection, one connection after the other, to a server of two workers with an
application of one line. The server is stopped under them. An answered request is fine, and so is a connection that is
refused; a connection that is made and ends without an answer is cut off.
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
"""How long the clients ask before the server is stopped."""


def main() -> None:
    """Stop a server many times and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--stops", type=int, default=50, help="how often a server is stopped (default: 50)")
    parser.add_argument("--clients", type=int, default=8, help="how many clients ask at once (default: 8)")
    arguments = parser.parse_args()
    total, stops_with_cuts = Counter[str](), 0
    for _ in range(arguments.stops):
        outcomes = _stop_under(arguments.clients)
        total += outcomes
        stops_with_cuts += outcomes["cut off"] > 0
    print(
        f"{total['answered']:,} answered; {total['cut off']} cut off, in {stops_with_cuts} of {arguments.stops} stops"
    )


def _stop_under(clients: int) -> Counter[str]:
    """Stop one server, and count how the requests of the clients end."""
    port = check_port("127.0.0.1", 0)
    command = [sys.executable, "-m", "tests.cli.two_workers", str(port), str(ThreadedWorker.patience)]
    with subprocess.Popen(command, cwd=ROOT) as server, ThreadPoolExecutor(clients) as pool:
        try:
            _wait_until_it_answers(server, port)
            running = [pool.submit(_ask_until_refused, port) for _ in range(clients)]
            time.sleep(_SECONDS)
        finally:
            server.terminate()
        return sum((one.result() for one in running), Counter[str]())


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + 30
    while _ask(port) != "answered":
        if server.poll() is not None or time.monotonic() > until:
            raise SystemExit("the server does not start")
        time.sleep(0.02)


def _ask_until_refused(port: int) -> Counter[str]:
    outcomes = Counter[str]()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        outcome = _ask(port)
        if outcome == "refused":
            return outcomes
        outcomes[outcome] += 1
    raise SystemExit("the server does not stop")


def _ask(port: int) -> str:
    """How a request on a connection of its own ends."""
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
