"""The sandbox limits what a process that reads hostile pictures can do and see."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashdb.domain.signals import Algorithm
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Limits
from hashdb.hashing.workers import Worker
from tests import films
from tests.hashing.processes import worker_processes
from tests.hashing.samples import draw_picture, encode_picture

MEMORY = 300_000_000


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder under /proc of a process that has hashed a picture."""
    monkeypatch.setenv("HASHDB_DATABASE_URL", "postgresql://user:secret@db/hashdb")
    worker = Worker(30, MEMORY, Limits())
    worker.hash(encode_picture(draw_picture()), [Algorithm.PDQ])
    (process,) = worker_processes()
    yield Path(f"/proc/{process}")
    worker.stop()


def _limit(process: Path, name: str) -> list[str]:
    lines = (process / "limits").read_text().splitlines()
    return next(line.removeprefix(name).split()[:2] for line in lines if line.startswith(name))


def test_the_process_does_not_import_the_web_framework_or_the_database() -> None:
    program = "import sys, hashdb.hashing.sandbox; print(*sys.modules)"
    process_run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    modules = set(process_run.stdout.split())
    assert not {"flask", "werkzeug", "sqlalchemy", "pydantic", "httpx"} & modules
    assert not {"hashdb.domain.rules", "hashdb.domain.contributions"} & modules


def test_the_process_preloads_late_numpy_modules_without_imagehash() -> None:
    program = (
        "import sys; sys.modules['imagehash'] = None; import hashdb.hashing.sandbox as sandbox; sandbox.warm([]);"
        "sys.exit(not {'numpy.linalg', 'numpy.ma'} <= sys.modules.keys())"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_process_cannot_write_a_file_or_a_core_dump(process: Path) -> None:
    assert _limit(process, "Max file size") == ["0", "0"]
    assert _limit(process, "Max core file size") == ["0", "0"]


def test_the_memory_limit_is_the_idle_size_plus_the_configured_memory(process: Path) -> None:
    soft, hard = map(int, _limit(process, "Max address space"))
    at_rest = int((process / "statm").read_text().split()[0]) * 4096
    assert soft == hard
    assert abs(soft - MEMORY - at_rest) < 20_000_000


def test_the_process_cannot_see_the_settings_of_the_service(process: Path) -> None:
    assert b"secret" not in (process / "environ").read_bytes()


def test_the_process_shares_no_open_file_with_the_service(process: Path) -> None:
    targets = [link.readlink() for link in (process / "fd").iterdir()]
    kinds = sorted(str(target).partition(":")[0] for target in targets)
    assert [kind for kind in kinds if kind != "/dev/null"] == ["pipe", "socket"]


def test_the_process_has_its_own_session(process: Path) -> None:
    session = (process / "stat").read_text().rpartition(")")[2].split()[3]
    assert session == process.name


_ATTEMPTS = """
import os, socket, subprocess, sys
import av
from hashdb.hashing.decoding import load_decoder
from hashdb.hashing.sandbox import confine
name, port = sys.argv[1], int(sys.argv[2])
load_decoder()
attempts = {
    "a file": lambda: open(name, "rb"),
    "a folder": lambda: os.listdir("/"),
    "a connection": lambda: socket.create_connection(("127.0.0.1", port), 5),
    "a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "a local socket": lambda: socket.socket(socket.AF_UNIX),
    "a program": lambda: subprocess.run(["/bin/true"], capture_output=True),
    "a video by name": lambda: av.open(name),
    "a video by address": lambda: av.open(f"http://127.0.0.1:{port}/film.mp4", timeout=5),
}
confine(300_000_000)
for attempt, call in attempts.items():
    try:
        call()
        print(attempt, flush=True)
    except OSError as error:
        pass
print("end")
"""


def test_the_sandbox_blocks_opening_files_and_connections(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(films.film())
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        command = [sys.executable, "-c", _ATTEMPTS, str(film), str(server.getsockname()[1])]
        process_run = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert process_run.stdout == "end\n"
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_process_that_reads_pictures_does_not_load_the_video_decoder(process: Path) -> None:
    assert "libavcodec" not in (process / "maps").read_text()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raise SystemExit(1)", "the video crashed the process that read it"),
        ("while True: pass", "the video is damaged: reading it made no progress for 1 s"),
    ],
)
def test_a_video_that_ends_or_hangs_the_process_affects_no_other_file(
    fault: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The video decoder is replaced by one with this fault."""
    decoder = f"__path__ = []\nclass logging: set_level = print\ndef open(*_, **__): \n    {fault}\n"
    (tmp_path / "av.py").write_text(decoder + "class FFmpegError(Exception): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("hashdb.hashing.workers._STALL_SECONDS", 1)
    path = tmp_path / "film.mp4"
    path.write_bytes(films.film())
    worker = Worker(30, MEMORY, Limits())
    with path.open("rb") as file, pytest.raises(UnreadablePicture) as raised:
        worker.hash_video(file, [Algorithm.PDQ])
    assert raised.value.reason == reason
    assert worker.hash(encode_picture(draw_picture()), [Algorithm.PDQ]).signals
    worker.stop()
