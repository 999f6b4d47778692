"""Services that tests kill, pause and start again: real processes, each on its own port and ended by its own pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import httpx

from hashdb.cli.listening import check_port
from tests.processes import children
from tests.warm import HASHDB, PID_FILE, program

_WITHIN = 60.0


class Service:
    """`hashdb serve` from a home, on the same port at every start."""

    def __init__(
        self,
        home: Path,
        settings: Mapping[str, str] | None = None,
        *,
        workers: int = 2,
        before: Sequence[str] = (),
        host: str = "127.0.0.1",
        log: Path | None = None,
    ) -> None:
        """Starts nothing yet. Its command line begins with the words of `before`, such as a wrapper."""
        self.home, self.log = home, log or home.parent / f"{home.name}.log"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
        self.environment = kept | {"HASHDB_HOME": str(home)} | dict(settings or {})
        self.port = check_port("127.0.0.1", 0)
        self.host, self.url = host, f"http://{host}:{self.port}"
        # -P: a script starts the hashdb of PYTHONPATH or the installed one, not the one of its working folder.
        self._is_forked = "PYTEST_VERSION" in os.environ and not before
        self._words = program(HASHDB) if self._is_forked else [*before, sys.executable, "-P", "-m", "hashdb"]
        self._workers = workers
        self._process: subprocess.Popen[bytes] | None = None
        self._pid_file = home.parent / f"{home.name}.pid"
        self._pid = 0

    def start(self, *, ready: bool = True) -> Self:
        """Start it, and wait until it is ready."""
        if self._process is not None:
            self._process.wait(_WITHIN)
        words = [*self._words, "serve", "--host", self.host, "--port", str(self.port), "--workers", str(self._workers)]
        self._pid_file.unlink(missing_ok=True)
        environment = self.environment | ({PID_FILE: str(self._pid_file)} if self._is_forked else {})
        with self.log.open("ab") as file:
            self._process = subprocess.Popen(words, env=environment, stdout=file, stderr=file)
        self._pid = self._read_pid(self._process) if self._is_forked else self._process.pid
        if ready:
            self.await_ready()
        return self

    def await_ready(self, within: float = _WITHIN) -> None:
        """Wait until every worker is ready. Raises AssertionError with its output."""
        until, in_a_row = time.monotonic() + within, 0
        while time.monotonic() < until:
            if not self.pid:
                # It ends if the database is unreachable at the start. A supervisor would start it again.
                self.start(ready=False)
            try:
                # Each request has its own connection, which any worker may accept.
                in_a_row = in_a_row + 1 if httpx.get(f"{self.url}/readyz", timeout=10).is_success else 0
            except httpx.TransportError:
                in_a_row = 0
            if in_a_row >= 6:
                return
            time.sleep(0.02)
        raise AssertionError(f"the service is not ready:\n{self.log.read_text('utf-8', 'replace')[-4000:]}")

    @property
    def pid(self) -> int:
        """The id of the parent process of the workers; 0 if it has ended."""
        return 0 if self._process is None or self._process.poll() is not None else self._pid

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return children(self.pid) if self.pid else []

    def kill(self) -> None:
        """Kill all its processes at once, as in a power failure."""
        pids = [self.pid, *self.workers()]
        for pid in filter(None, pids):
            _send(pid, signal.SIGKILL)
        self._wait()
        until = time.monotonic() + _WITHIN
        while any(Path(f"/proc/{pid}").exists() for pid in pids if pid) and time.monotonic() < until:
            time.sleep(0.01)

    def kill_a_worker(self, which: int = 0) -> None:
        """Kill a worker. The parent process starts another one."""
        if workers := self.workers():
            _send(workers[which % len(workers)], signal.SIGKILL)

    def pause(self, seconds: float) -> None:
        """Pause all its processes for some seconds."""
        pids = [self.pid, *self.workers()]
        for pid in pids:
            _send(pid, signal.SIGSTOP)
        time.sleep(seconds)
        for pid in pids:
            _send(pid, signal.SIGCONT)

    def stop(self) -> None:
        """Stop it. If it does not end in time, kill it and raise TimeoutExpired."""
        if not self.pid or self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_WITHIN)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def command(self, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command of hashdb with the settings of this service."""
        words = (*self._words, *words)
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=timeout, check=False)

    def __enter__(self) -> Self:
        """Use the service in a `with` statement, which stops it at its end."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop it; after an error, kill it."""
        if kind is None:
            self.stop()
        else:
            self.kill()

    def _read_pid(self, relay: subprocess.Popen[bytes]) -> int:
        """The id of the process that a relay started; 0 if the relay has ended."""
        until = time.monotonic() + _WITHIN
        while relay.poll() is None and time.monotonic() < until:
            if self._pid_file.exists() and (pid := self._pid_file.read_text()):
                return int(pid)
            time.sleep(0.005)
        return 0

    def _wait(self) -> None:
        if self._process is not None:
            self._process.wait(_WITHIN)


def _send(pid: int, signal_number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal_number)
