"""Test faults that need root: a full disk at each write, a clock that is set back, two services with one file.

Without --quick, it also tests faults that last a minute.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx

from hashdb.client import Client
from hashdb.domain.times import parse_instant
from scripts import replicas
from tests.faults.late_matches import Work
from tests.faults.remembering import count_kills
from tests.faults.scene import Scene
from tests.faults.services import Service
from tests.faults.sidecars import Sidecar
from tests.postgres import OwnServer, own_server
from tests.processes import processes

_MEGABYTE = 1024 * 1024
_MINUTE = 60.0
_SETTINGS = {"HASHDB_BUSY_SECONDS": "2"}
_PHOTO = Path(__file__).parents[1] / "hashdb" / "photos" / "casa-mila.jpg"
_FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def main() -> None:
    """Test each fault, and print the results."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter faults, two at a time, in less than a minute")
    parser.add_argument("--only", metavar="WORD", default="", help="only faults whose name has this word")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("hashdb: scripts/faults mounts file systems: run it as root")
    # Exit as after an interrupt, so that all file systems are unmounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    seconds, parallel = (1.0, 2) if arguments.quick else (5.0, 1)
    names = [*FAULTS, *([] if arguments.quick else LONG_FAULTS)]
    with processes(parallel) as pool:
        results = [pool.submit(run_fault, name, seconds) for name in names if arguments.only in name]
        try:
            for result in results:
                print(result.result(), flush=True)
        finally:
            # After the first failure, let the running faults end, and start no other one.
            pool.shutdown(wait=False, cancel_futures=True)


def run_fault(name: str, seconds: float) -> str:
    """Test a fault in a temporary folder; return its result and its duration."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hashdb-faults-") as folder:
        result = (FAULTS | LONG_FAULTS)[name](Path(folder), seconds)
    return f"{name}: {result} ({time.monotonic() - started:.0f} s)"


def database_is_full(folder: Path, seconds: float) -> str:
    """Fill the disk of the whole home: the database, the index, the checkpoints, the counters."""
    with small_disk(folder / "home-0", 24) as disk, Scene(folder, settings=_SETTINGS) as scene:
        scene.start()
        with fill_disk(disk), scene.busy(1):
            # No request was sent before, so the first request of each kind meets a full disk.
            time.sleep(seconds)
            assert scene.ledger.counts["broken"] == 0
            assert scene.ledger.counts["refused"] > 0
            scene.services[0].kill_a_worker()
            time.sleep(seconds)
        return check_and_count(scene)


def index_is_full(folder: Path, seconds: float) -> str:
    """Fill the disk of the segments and their manifest. Contributions must still work."""
    with small_disk(folder / "home-0" / "index", 8) as disk, Scene(folder, settings=_SETTINGS) as scene:
        scene.start()
        with fill_disk(disk):
            scene.fill(4_500)
            with scene.busy(2):
                time.sleep(seconds)
            assert scene.ledger.counts["refused"] == 0
        assert "the index cannot be written and stays in memory" in scene.services[0].log.read_text()
        return check_and_count(scene)


def postgresql_is_full(folder: Path, seconds: float) -> str:
    """Fill the disk of PostgreSQL; start PostgreSQL again if it stops."""
    with (
        small_disk(folder / "postgres", 120) as disk,
        own_server(disk) as server,
        server.new_database() as url,
        Scene(folder, url, settings=_SETTINGS) as scene,
    ):
        scene.start()
        with scene.busy(3):
            with fill_disk(disk):
                time.sleep(seconds)
            if not server.running:
                server.start()
            time.sleep(0.5)
        assert scene.ledger.counts["broken"] == 0
        return check_and_count(scene)


def checkpoints_cannot_be_written(folder: Path, seconds: float) -> str:
    """Fill the disk of a home without the database: the checkpoints and a new signing key cannot be written."""
    home = folder / "home-0"
    settings = _SETTINGS | {"HASHDB_SIGNING_KEY_FILE": str(home / "signing.key")}
    with (
        own_server() as server,
        server.new_database() as url,
        small_disk(home, 8) as disk,
        Scene(folder, url, settings=settings) as scene,
    ):
        [service] = scene.start().services
        key = (home / "signing.key").read_bytes()
        with fill_disk(disk):
            with scene.busy(4):
                time.sleep(seconds)
            rotated = service.command("key", "rotate-signing")
            assert rotated.returncode == 2 and "no space left" in rotated.stderr, rotated
            assert (home / "signing.key").read_bytes() == key
            # The service also cannot write the checkpoint that it signs when it stops.
            service.stop()
        service.start()
        assert service.command("key", "rotate-signing").returncode == 0
        assert (home / "signing.key").read_bytes() != key
        return check_and_count(scene)


def first_start_on_a_full_disk(folder: Path, seconds: float) -> str:
    """Start a service on a full disk: it prints an error message, and the next start works."""
    with small_disk(folder / "home-0", 2) as disk, Scene(folder, settings=_SETTINGS) as scene, fill_disk(disk):
        serve = scene.services[0].command("serve", "--port", "0")
        assert serve.returncode in (1, 2) and serve.stderr.startswith("hashdb: "), serve
        assert "Traceback" not in serve.stderr, serve.stderr
    with small_disk(folder / "home-0", 24), Scene(folder, settings=_SETTINGS) as scene:
        scene.start()
        return f"{serve.stderr.strip()[8:]!r}; {check_and_count(scene)}"


def temporary_files_cannot_be_written(folder: Path, seconds: float) -> str:
    """Fill the disk of temporary files: hashing still works, because pictures are only in memory."""
    with (
        small_disk(folder / "tmp", 4) as disk,
        fill_disk(disk),
        Scene(folder, settings=_SETTINGS | {"TMPDIR": str(disk)}) as scene,
    ):
        scene.start()
        headers = {"Authorization": f"Bearer {scene.key}"}
        with _PHOTO.open("rb") as file:
            response = httpx.post(f"{scene.urls[0]}/v1/signals", files={"file": file}, headers=headers, timeout=30)
        assert response.status_code == 200, response.text
        return check_and_count(scene)


def clock_is_set_back(folder: Path, seconds: float) -> str:
    """Set the clock back by an hour while members send requests; the times in the log must not go back."""
    if _FAKETIME is None:
        raise SystemExit("hashdb: libfaketime is not installed: apt install faketime")
    clock = folder / "clock"
    clock.write_text("+0\n")
    settings = {
        "LD_PRELOAD": str(_FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with Scene(folder, settings=_SETTINGS | settings) as scene:
        scene.start()
        with scene.busy(5):
            for offset in ("+0", "-3600", "+0", "-3600"):
                clock.write_text(f"{offset}\n")
                time.sleep(seconds)
        headers = {"Authorization": f"Bearer {scene.key}"}
        events = httpx.get(f"{scene.urls[0]}/v1/events?limit=1000", headers=headers).json()["events"]
        times = [parse_instant(event["at"]) for event in events]
        assert times == sorted(times) and len(times) > 10
        return check_and_count(scene)


def two_homes_serve_one_file(folder: Path, seconds: float) -> str:
    """Run two services with one SQLite file; kill the second one and start it again."""
    url = f"sqlite:///{folder}/shared.sqlite"
    with Scene(folder, url, services=2, workers=1, settings=_SETTINGS) as scene:
        scene.start()
        with scene.busy(6):
            time.sleep(seconds)
            scene.services[1].kill()
            time.sleep(seconds)
            scene.services[1].start()
        return check_and_count(scene)


def replicas_on_separate_hosts(folder: Path, seconds: float) -> str:
    """Run replicas in network namespaces. This is not a fault, but needs root; `scripts/replicas` measures it."""
    return replicas.quick(folder, int(100 * seconds))


def postgresql_is_away(folder: Path, seconds: float) -> str:
    """Stop PostgreSQL for a minute. A service that starts in this time waits for it."""
    with postgresql_and_replicas(folder) as (server, scene):
        with scene.busy(7):
            server.stop()
            time.sleep(_MINUTE)
            server.start()
            time.sleep(seconds)
        return check_and_count(scene)


def postgresql_stands_still(folder: Path, seconds: float) -> str:
    """Pause PostgreSQL for a minute. The services reject all requests in this time."""
    with postgresql_and_replicas(folder) as (server, scene):
        with scene.busy(8):
            with server.paused():
                time.sleep(_MINUTE)
            time.sleep(seconds)
        assert scene.ledger.counts["refused"] > 0
        return check_and_count(scene)


def a_replica_stands_still(folder: Path, seconds: float) -> str:
    """Pause a replica for a minute; the other one must continue."""
    with postgresql_and_replicas(folder) as (_, scene):
        with scene.busy(9):
            scene.services[1].pause(_MINUTE)
            time.sleep(seconds)
        return check_and_count(scene)


@contextmanager
def postgresql_and_replicas(folder: Path) -> Iterator[tuple[OwnServer, Scene]]:
    """Run a PostgreSQL server and two replicas during the block."""
    with (
        own_server() as server,
        server.new_database() as url,
        Scene(folder, url, services=2, workers=1, settings=_SETTINGS) as scene,
    ):
        yield server, scene.start()


def look_back_is_killed(folder: Path, seconds: float) -> str:
    """Kill look-back at each of its steps in turn, until all steps are done."""
    with Scene(folder, settings=_SETTINGS) as scene:
        scene.start()
        step = 1
        while count_kills(scene.urls[0], scene.key, folder / f"member-{step}", (step, step, step)):
            step += 1
    return f"{step - 1} steps, nothing lost, nothing reported twice"


def sidecar_is_killed(folder: Path, seconds: float) -> str:
    """Kill a sidecar and two services. A member contributes to the first one; the sidecar follows the second one."""
    network = {"HASHDB_WEBHOOK_NETWORKS": "127.0.0.0/8", "HASHDB_WEBHOOK_HTTP": "true"}
    with (
        Scene(folder / "first", workers=1, settings=_SETTINGS) as first,
        Scene(folder / "second", workers=1, settings=_SETTINGS | network) as second,
    ):
        first.start()
        second.start()
        key = folder / "first.key"
        key.write_text(first.key)
        follow = second.services[0].command("follow", "add", first.urls[0], "--name", "First", "--key-file", str(key))
        assert follow.returncode == 0, follow.stderr
        sidecar = Sidecar(folder / "member", {"HASHDB_URL": second.urls[0], "HASHDB_KEY": second.key})
        sidecar.start()

        def restart(process: Sidecar | Service) -> None:
            process.kill()
            process.start()

        try:
            with Client(first.urls[0], first.key, retries=6) as contributor:
                work = Work(contributor, sidecar)
                killed: list[Sidecar | Service] = [sidecar, second.services[0], sidecar, first.services[0]]
                work.run(round(seconds), [partial(restart, process) for process in killed])
        finally:
            sidecar.kill()
    return f"{work.remembered:,} uploads, each reported once, every third report taken back once"


FAULTS: dict[str, Callable[[Path, float], str]] = {
    "the disk of an embedded database is full": database_is_full,
    "the disk of the index is full": index_is_full,
    "the disk of PostgreSQL is full": postgresql_is_full,
    "checkpoints and a new key cannot be written": checkpoints_cannot_be_written,
    "the first start is on a full disk": first_start_on_a_full_disk,
    "temporary files cannot be written": temporary_files_cannot_be_written,
    "the clock is set back an hour": clock_is_set_back,
    "two homes serve one SQLite file": two_homes_serve_one_file,
    "replicas are on hosts of their own": replicas_on_separate_hosts,
}

LONG_FAULTS: dict[str, Callable[[Path, float], str]] = {
    "PostgreSQL is away for a minute": postgresql_is_away,
    "PostgreSQL stands still for a minute": postgresql_stands_still,
    "a replica stands still for a minute": a_replica_stands_still,
    "a member that looks back is killed at every step": look_back_is_killed,
    "a sidecar and two services are killed again and again": sidecar_is_killed,
}


def check_and_count(scene: Scene) -> str:
    """Check that nothing is lost or wrong; return the counts as text."""
    scene.check()
    counts = scene.ledger.counts
    return f"{counts['answered']:,} answered, 0 lost, 0 wrong, {counts['refused']:,} refused"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a file system of this size at a folder during the block."""
    folder.mkdir(parents=True, exist_ok=True)
    replicas.run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "hashdb-faults", str(folder))
    try:
        # PostgreSQL runs as another user.
        for path in (folder.parent, folder):
            path.chmod(0o755)
        yield folder
    finally:
        replicas.run("umount", "--lazy", str(folder))


@contextmanager
def fill_disk(disk: Path) -> Iterator[None]:
    """Fill a disk completely during the block."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        size = _MEGABYTE
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
        try:
            yield
        finally:
            ballast.unlink()


if __name__ == "__main__":
    main()
