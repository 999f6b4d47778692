"""Faults that take root: a disk that is full at each write, a clock that is set back, two services over one file.

And, where it may take its time, those that last a minute.
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
    """Do each, and say what came of it."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter, two at a time, in less than a minute")
    parser.add_argument("--only", metavar="WORD", default="", help="only those whose name has this word")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("hashdb: scripts/faults mounts file systems: run it as root")
    # As it does at an interrupt: what was mounted is unmounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    seconds, at_once = (1.0, 2) if arguments.quick else (5.0, 1)
    names = [*FAULTS, *([] if arguments.quick else MINUTES)]
    with processes(at_once) as pool:
        begun = [pool.submit(done, name, seconds) for name in names if arguments.only in name]
        try:
            for one in begun:
                print(one.result(), flush=True)
        finally:
            # After the first that fails, those that are under way come to their end, and no other is begun.
            pool.shutdown(wait=False, cancel_futures=True)


def done(name: str, seconds: float) -> str:
    """What came of a fault, in a folder of its own, and how long it took."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hashdb-faults-") as folder:
        said = (FAULTS | MINUTES)[name](Path(folder), seconds)
    return f"{name}: {said} ({time.monotonic() - started:.0f} s)"


def database_is_full(folder: Path, seconds: float) -> str:
    """The home with everything in it: the database, the index, the checkpoints, the counters."""
    with small_disk(folder / "home-0", 24) as disk, Scene(folder, settings=_SETTINGS) as scene:
        scene.start()
        with full(disk), scene.busy(1):
            # Nothing has been asked yet: each first one of its kind is met by a full disk.
            time.sleep(seconds)
            assert scene.ledger.counts["broken"] == 0
            assert scene.ledger.counts["refused"] > 0
            scene.services[0].kill_a_worker()
            time.sleep(seconds)
        return told(scene)


def index_is_full(folder: Path, seconds: float) -> str:
    """The folder of segments and their manifest; nothing else is in the way of contributions."""
    with small_disk(folder / "home-0" / "index", 8) as disk, Scene(folder, settings=_SETTINGS) as scene:
        scene.start()
        with full(disk):
            scene.fill(4_500)
            with scene.busy(2):
                time.sleep(seconds)
            assert scene.ledger.counts["refused"] == 0
        assert "the index cannot be written and stays in memory" in scene.services[0].log.read_text()
        return told(scene)


def postgresql_is_full(folder: Path, seconds: float) -> str:
    """PostgreSQL's own disk, which it may stop at; it is started again where it does."""
    with (
        small_disk(folder / "postgres", 120) as disk,
        own_server(disk) as server,
        server.new_database() as url,
        Scene(folder, url, settings=_SETTINGS) as scene,
    ):
        scene.start()
        with scene.busy(3):
            with full(disk):
                time.sleep(seconds)
            if not server.running:
                server.start()
            time.sleep(0.5)
        assert scene.ledger.counts["broken"] == 0
        return told(scene)


def checkpoints_cannot_be_written(folder: Path, seconds: float) -> str:
    """The home of a service whose database is elsewhere: the record of checkpoints, a new signing key."""
    home = folder / "home-0"
    settings = _SETTINGS | {"HASHDB_SIGNING_KEY_FILE": str(home / "signing.key")}
    with (
        own_server() as server,
        server.new_database() as url,
        small_disk(home, 8) as disk,
        Scene(folder, url, settings=settings) as scene,
    ):
        [one] = scene.start().services
        key = (home / "signing.key").read_bytes()
        with full(disk):
            with scene.busy(4):
                time.sleep(seconds)
            rotated = one.command("key", "rotate-signing")
            assert rotated.returncode == 2 and "no space left" in rotated.stderr, rotated
            assert (home / "signing.key").read_bytes() == key
            # What it signs at its end cannot be written down either.
            one.stop()
        one.start()
        assert one.command("key", "rotate-signing").returncode == 0
        assert (home / "signing.key").read_bytes() != key
        return told(scene)


def first_start_on_a_full_disk(folder: Path, seconds: float) -> str:
    """What cannot be made is told in a sentence, and made at the next start."""
    with small_disk(folder / "home-0", 2) as disk, Scene(folder, settings=_SETTINGS) as scene, full(disk):
        done = scene.services[0].command("serve", "--port", "0")
        assert done.returncode in (1, 2) and done.stderr.startswith("hashdb: "), done
        assert "Traceback" not in done.stderr, done.stderr
    with small_disk(folder / "home-0", 24), Scene(folder, settings=_SETTINGS) as scene:
        scene.start()
        return f"{done.stderr.strip()[8:]!r}; {told(scene)}"


def temporary_files_cannot_be_written(folder: Path, seconds: float) -> str:
    """Pictures are hashed all the same: they are in memory only."""
    with (
        small_disk(folder / "tmp", 4) as disk,
        full(disk),
        Scene(folder, settings=_SETTINGS | {"TMPDIR": str(disk)}) as scene,
    ):
        scene.start()
        headers = {"Authorization": f"Bearer {scene.key}"}
        with _PHOTO.open("rb") as file:
            answer = httpx.post(f"{scene.urls[0]}/v1/signals", files={"file": file}, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return told(scene)


def clock_is_set_back(folder: Path, seconds: float) -> str:
    """An hour, while members are at work; the log's times do not go back."""
    if _FAKETIME is None:
        raise SystemExit("hashdb: there is no libfaketime: apt install faketime")
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
            for by in ("+0", "-3600", "+0", "-3600"):
                clock.write_text(f"{by}\n")
                time.sleep(seconds)
        headers = {"Authorization": f"Bearer {scene.key}"}
        events = httpx.get(f"{scene.urls[0]}/v1/events?limit=1000", headers=headers).json()["events"]
        times = [parse_instant(event["at"]) for event in events]
        assert times == sorted(times) and len(times) > 10
        return told(scene)


def two_homes_serve_one_file(folder: Path, seconds: float) -> str:
    """SQLite on one machine; the second one is killed and started again."""
    url = f"sqlite:///{folder}/shared.sqlite"
    with Scene(folder, url, services=2, workers=1, settings=_SETTINGS) as scene:
        scene.start()
        with scene.busy(6):
            time.sleep(seconds)
            scene.services[1].kill()
            time.sleep(seconds)
            scene.services[1].start()
        return told(scene)


def hosts_of_their_own(folder: Path, seconds: float) -> str:
    """Network namespaces: no fault, but what takes root too; `scripts/replicas` measures it."""
    return replicas.quick(folder, int(100 * seconds))


def postgresql_is_away(folder: Path, seconds: float) -> str:
    """For a minute; whoever starts meanwhile waits for it."""
    with postgresql(folder) as (server, scene):
        with scene.busy(7):
            server.stop()
            time.sleep(_MINUTE)
            server.start()
            time.sleep(seconds)
        return told(scene)


def postgresql_stands_still(folder: Path, seconds: float) -> str:
    """For a minute: it is there and says nothing, and all are refused meanwhile."""
    with postgresql(folder) as (server, scene):
        with scene.busy(8):
            with server.paused():
                time.sleep(_MINUTE)
            time.sleep(seconds)
        assert scene.ledger.counts["refused"] > 0
        return told(scene)


def a_replica_stands_still(folder: Path, seconds: float) -> str:
    """For a minute, wherever it was; the other one goes on."""
    with postgresql(folder) as (_, scene):
        with scene.busy(9):
            scene.services[1].pause(_MINUTE)
            time.sleep(seconds)
        return told(scene)


@contextmanager
def postgresql(folder: Path) -> Iterator[tuple[OwnServer, Scene]]:
    """A server of its own, and two replicas over it."""
    with (
        own_server() as server,
        server.new_database() as url,
        Scene(folder, url, services=2, workers=1, settings=_SETTINGS) as scene,
    ):
        yield server, scene.start()


def look_back_is_killed(folder: Path, seconds: float) -> str:
    """At each of its steps in turn, until there is none left."""
    with Scene(folder, settings=_SETTINGS) as scene:
        scene.start()
        step = 1
        while count_kills(scene.urls[0], scene.key, folder / f"member-{step}", (step, step, step)):
            step += 1
    return f"{step - 1} steps, nothing lost, nothing told twice"


def sidecar_is_killed(folder: Path, seconds: float) -> str:
    """And two services: another member contributes at the first one, and the sidecar follows the second one."""
    reach = {"HASHDB_WEBHOOK_NETWORKS": "127.0.0.0/8", "HASHDB_WEBHOOK_HTTP": "true"}
    with (
        Scene(folder / "first", workers=1, settings=_SETTINGS) as first,
        Scene(folder / "second", workers=1, settings=_SETTINGS | reach) as second,
    ):
        first.start()
        second.start()
        key = folder / "first.key"
        key.write_text(first.key)
        said = second.services[0].command("follow", "add", first.urls[0], "--name", "First", "--key-file", str(key))
        assert said.returncode == 0, said.stderr
        sidecar = Sidecar(folder / "member", {"HASHDB_URL": second.urls[0], "HASHDB_KEY": second.key})
        sidecar.start()

        def again(one: Sidecar | Service) -> None:
            one.kill()
            one.start()

        try:
            with Client(first.urls[0], first.key, retries=6) as contributor:
                work = Work(contributor, sidecar)
                killed: list[Sidecar | Service] = [sidecar, second.services[0], sidecar, first.services[0]]
                work.run(round(seconds), [partial(again, one) for one in killed])
        finally:
            sidecar.kill()
    return f"{work.remembered:,} uploads, each told once, every third one taken back once"


FAULTS: dict[str, Callable[[Path, float], str]] = {
    "the disk of an embedded database is full": database_is_full,
    "the disk of the index is full": index_is_full,
    "the disk of PostgreSQL is full": postgresql_is_full,
    "checkpoints and a new key cannot be written": checkpoints_cannot_be_written,
    "the first start is on a full disk": first_start_on_a_full_disk,
    "temporary files cannot be written": temporary_files_cannot_be_written,
    "the clock is set back an hour": clock_is_set_back,
    "two homes serve one SQLite file": two_homes_serve_one_file,
    "replicas are on hosts of their own": hosts_of_their_own,
}

MINUTES: dict[str, Callable[[Path, float], str]] = {
    "PostgreSQL is away for a minute": postgresql_is_away,
    "PostgreSQL stands still for a minute": postgresql_stands_still,
    "a replica stands still for a minute": a_replica_stands_still,
    "a member that looks back is killed at every step": look_back_is_killed,
    "a sidecar and two services are killed again and again": sidecar_is_killed,
}


def told(scene: Scene) -> str:
    """Check all, and say how much there was."""
    scene.check()
    counts = scene.ledger.counts
    return f"{counts['answered']:,} answered, 0 lost, 0 wrong, {counts['refused']:,} refused"


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of so many megabytes at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    replicas.run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "hashdb-faults", str(folder))
    try:
        # PostgreSQL runs as another user.
        for one in (folder.parent, folder):
            one.chmod(0o755)
        yield folder
    finally:
        replicas.run("umount", "--lazy", str(folder))


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """No byte is free on a disk for the length of a block."""
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
