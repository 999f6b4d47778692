"""A real service on 127.0.0.1 for the length of a test, bounded in time and stopped by its own pid."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.warm import HASHDB, program

_STARTS_WITHIN = 30.0
_ENDS_WITHIN = 20.0


@contextmanager
def serving(
    home: Path,
    *,
    workers: int = 2,
    log: Path | None = None,
    within: float = _STARTS_WITHIN,
    python: str = sys.executable,
    **settings: str,
) -> Iterator[str]:
    """Start `hashdb serve` from a home on a free port, and give its address once it is ready (`within` seconds).

    Its output goes to `log` (by default a file in the parent of the home). If it does not start, the error shows it.
    """
    out = log or home.parent / f"{home.name}.log"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    # A script measures a service that is started as operators start it, and may use another version of Python.
    start = program(HASHDB) if "PYTEST_VERSION" in os.environ else [python, "-m", "hashdb"]
    words = [*start, "serve", "--port", "0", "--workers", str(workers)]
    with out.open("wb") as file:
        process = subprocess.Popen(words, env=kept | {"HASHDB_HOME": str(home)} | settings, stdout=file, stderr=file)
    try:
        yield _await(process, out, within)
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _await(process: subprocess.Popen[bytes], out: Path, within: float) -> str:
    until = time.monotonic() + within
    while time.monotonic() < until and process.poll() is None:
        address = re.search(r"serves on (http://127\.0\.0\.1:\d+)", out.read_text("utf-8", "replace"))
        try:
            if address and httpx.get(f"{address[1]}/readyz").is_success:
                return address[1]
        except httpx.HTTPError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the service did not start:\n{out.read_text('utf-8', 'replace')}")
