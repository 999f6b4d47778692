"""The sockets on which servers listen: who may use a Unix socket, and how new connections are refused at the end."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import stat
import struct
import sys
import time
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hashdb.errors import BadSetting, PortInUse

_OPTION, _GROUP_OPTION = "--socket", "--socket-group"
_BACKLOG = 512
_SO_ATTACH_FILTER = 26
"""Linux: asm-generic/socket.h. Python does not name it."""
_DROP_SYN = struct.pack(
    "@" + "HBBI" * 4,
    *(0x30, 0, 0, 13),  # ldb [13]: the flags of the TCP header
    *(0x45, 0, 1, 0x02),  # jset #SYN
    *(0x06, 0, 0, 0),  # ret #0: drop the packet
    *(0x06, 0, 0, 0xFFFFFFFF),  # ret #-1: accept all of it
)
"""A program of the classic Berkeley packet filter, which drops packets that open a connection.

Each step has a code, how many steps to skip if the test is true and if it is false, and a value.
"""
_HANDSHAKE_SECONDS = 0.05
"""How long `refuse_new` waits, so that clients that are connecting become connected."""


def listen(path: Path, group: str | None = None) -> socket.socket:
    """A Unix socket that listens at a path, with mode 0600, or 0660 with a group that may use it.

    A socket file on which no server listens is replaced.

    Raises PortInUse if a server listens there, and BadSetting.
    """
    path = path.absolute()
    try:
        with _locked(path.parent):
            _remove_stale(path)
            return _bind(path, group)
    except PermissionError:
        raise BadSetting(_OPTION, f"{path}: this user may not create it") from None
    except FileNotFoundError:
        raise BadSetting(_OPTION, f"{path}: its folder does not exist") from None
    except OSError as error:
        raise BadSetting(_OPTION, f"{path}: {(error.strerror or str(error)).lower()}") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder: of two servers that start at once, one must see the socket of the other."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BadSetting(_OPTION, f"{path} exists, and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise PortInUse(str(path), _OPTION)


def _bind(path: Path, group: str | None) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The mode is right from the first moment on.
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        if group is not None:
            _share(path, group)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _share(path: Path, group: str) -> None:
    try:
        shutil.chown(path, group=group)
    except LookupError:
        reason = "this machine has no group of this name"
    except PermissionError:
        reason = "this user is not in this group"
    else:
        path.chmod(0o660)
        return
    path.unlink()
    raise BadSetting(_GROUP_OPTION, f"{group}: {reason}")


def remove_socket_file(path: Path, inode: int) -> None:
    """Remove the file of a socket, unless another file with this path has replaced it: then its inode differs."""
    with suppress(OSError):
        if path.lstat().st_ino == inode:
            path.unlink()


def refuse_new(listeners: Iterable[socket.socket]) -> None:
    """Take no new connections on sockets that listen, while those who have connected can still be accepted.

    A client that connects between the last `accept` and the close of a socket would be cut off. On TCP under Linux,
    the kernel drops the first packet of each new connection from now on. The client repeats it a second later, and is
    refused then, or reaches the next service. Other systems cannot do this: there, this function only waits.
    """
    for listener in listeners:
        if listener.family == socket.AF_UNIX:
            listener.shutdown(socket.SHUT_RD)
        elif sys.platform == "linux":
            steps = array("B", _DROP_SYN)
            program = struct.pack("@HP", len(steps) // 8, steps.buffer_info()[0])
            # Some sandboxes do not permit filters.
            with suppress(OSError):
                listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    time.sleep(_HANDSHAKE_SECONDS)
