"""The sidecar of a member, which tests kill and start again, and a client for its socket."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from socket import AF_UNIX, SO_PEERCRED, SOL_SOCKET, socket

from hashdb.client import Client
from tests.processes import children

_WITHIN = 60.0


class Sidecar:
    """`hashdb local serve` from a home, on a Unix socket beside the home."""

    def __init__(
        self, home: Path, settings: Mapping[str, str], program: Sequence[str] = (sys.executable, "-P", "-m", "hashdb")
    ) -> None:
        """Starts nothing yet. Its command line begins with the words of `program`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
        self._environment = kept | dict(settings) | {"HASHDB_HOME": str(home)}
        self._socket, self.log = home.with_suffix(".sock"), home.with_suffix(".log")
        self._words = [*program, "local", "serve", "--workers", "1", "--socket", str(self._socket)]
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as file:
            self._process = subprocess.Popen(self._words, env=self._environment, stdout=file, stderr=file)
        until = time.monotonic() + _WITHIN
        while True:
            with suppress(OSError), socket(AF_UNIX) as probe:
                probe.connect(str(self._socket))
                # The process that listens. The started process may be only a relay for it.
                self._pid = struct.unpack("3i", probe.getsockopt(SOL_SOCKET, SO_PEERCRED, 12))[0]
                return
            assert time.monotonic() < until, self.log.read_text("utf-8", "replace")
            time.sleep(0.02)

    def client(self, retries: int = 3) -> Client:
        """A client of the sidecar."""
        return Client(f"unix:{self._socket}", retries=retries)

    def kill(self) -> None:
        """Kill all its processes at once."""
        if self._process is None:
            return
        pids = [self._pid, *children(self._pid)] if self._pid else [self._process.pid]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)
        self._process.wait(_WITHIN)
        until = time.monotonic() + _WITHIN
        while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < until:
            time.sleep(0.01)
        self._process, self._pid = None, 0
