"""Runs commands in forks of a process that has imported them: a fork takes milliseconds, a new process a second.

`program(HASHDB)` replaces `python -m hashdb` in the words of a process. The process that it starts is a relay: it sends
its arguments, environment, folder and open files to a server, which forks the command. The relay passes signals on, and
ends as the command ends.

Tests start `python -m hashdb` if they test the start itself, the encoding of the streams, the tree of processes, or
what an import reads from the environment.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

HASHDB, THREATEXCHANGE = "hashdb.cli:main", "threatexchange.cli.main:main"
PID_FILE = "WARM_PID_FILE"
"""The environment variable that names the file to which the command of a relay writes its process id."""
_SIZE = struct.Struct("!I")


@cache
def program(entry: str) -> list[str]:
    """The first words of a process that runs the function `module:name`, as a console script does."""
    import atexit
    import shutil
    import subprocess
    import tempfile
    from pathlib import Path

    root, folder = Path(__file__).parents[1], tempfile.mkdtemp(prefix="hashdb-warm-")
    address = f"{folder}/socket"
    paths = f"{root}{os.pathsep}{root / 'integrations' / 'threatexchange'}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        server = subprocess.Popen(
            [sys.executable, "-c", f"from tests.warm import serve; serve({entry!r}, {listener.fileno()})"],
            env=os.environ | {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )

    def end() -> None:
        server.terminate()
        server.communicate()
        shutil.rmtree(folder)

    atexit.register(end)
    return [sys.executable, "-I", "-S", __file__, address]


def serve(entry: str, listener: int) -> None:
    """Fork a command for each relay, until standard input ends. It also ends if the tests are killed."""
    main = _imported(entry)
    life = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    keepers = 0
    with socket.socket(fileno=listener) as listening:
        while life not in _readable(life, listening.fileno()):
            relay, _ = listening.accept()
            if os.fork() == 0:
                os.close(life)
                listening.close()
                _keep(relay, main)
                return
            relay.close()
            keepers += 1
            while keepers and os.waitpid(-1, os.WNOHANG)[0]:
                keepers -= 1


def _readable(*files: int) -> list[int]:
    import select

    return select.select(files, [], [])[0]


def _imported(entry: str) -> Callable[[], object]:
    import gc
    import importlib

    module, _, name = entry.partition(":")
    main: Callable[[], object] = getattr(importlib.import_module(module), name)
    if entry == HASHDB:
        import click

        group: click.Group = vars(sys.modules[module])["hashdb"]
        for command in group.list_commands(click.Context(group)):
            group.get_command(click.Context(group), command)
        for lazy in ("alembic.command", "hashdb.client", "psycopg"):
            importlib.import_module(lazy)
    # A child process copies each object that its garbage collector looks at; frozen objects are left out.
    gc.collect()
    gc.freeze()
    return main


def _keep(relay: socket.socket, main: Callable[[], object]) -> None:
    """Run a command for a relay. It returns only in the process of the command, when the command ends."""
    head, files, _, _ = socket.recv_fds(relay, _SIZE.size, 3)
    request = b""
    while len(request) < _SIZE.unpack(head)[0]:
        request += relay.recv(65_536)
    pid = os.fork()
    if pid == 0:
        relay.close()
        _become(files, request)
        main()
        return
    for file in files:
        os.close(file)
    ended = os.pidfd_open(pid)
    while ended not in _readable(ended, relay.fileno()):
        # If the relay is killed, its command is killed, too.
        os.kill(pid, (relay.recv(1) or bytes([signal.SIGKILL]))[0])
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):
        relay.sendall(b"%d" % code)
    os._exit(0)


def _become(files: list[int], request: bytes) -> None:
    """Take over the arguments, the environment, the folder and the open files of a relay."""
    import tempfile
    import time

    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    head, folder, *texts = request.split(b"\0")
    mask, count = map(int, head.split())
    sys.argv = ["program", *map(os.fsdecode, texts[:count])]
    os.environ.clear()
    os.environb.update(dict(text.split(b"=", 1) for text in texts[count:]))
    if pid_file := os.environ.pop(PID_FILE, ""):
        with open(pid_file, "w") as file_of_pid:
            file_of_pid.write(str(os.getpid()))
    os.chdir(folder)
    os.umask(mask)
    time.tzset()
    tempfile.tempdir = None


def _relay(address: str, *words: str) -> NoReturn:
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        mask = os.umask(0o077)
        texts = [os.getcwd(), *words, *(f"{name}={value}" for name, value in os.environ.items())]
        # As bytes: the text of a name depends on the encoding of this process.
        request = b"\0".join([b"%d %d" % (mask, len(words)), *map(os.fsencode, texts)])
        socket.send_fds(server, [_SIZE.pack(len(request))], [0, 1, 2])
        server.sendall(request)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, frame: server.sendall(bytes([number])))
        code = int(server.recv(16) or str(-signal.SIGKILL))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    _relay(*sys.argv[1:])
