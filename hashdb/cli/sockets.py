"""A Unix socket on which a server listens: only for its owner, or for a group too, and never in place of a live one."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hashdb.errors import BadSetting, PortInUse

_OPTION, _GROUP_OPTION = "--socket", "--socket-group"
_BACKLOG = 512


def listen(path: Path, group: str | None = None) -> socket.socket:
    """A socket that listens at a path, with mode 0600, or 0660 for a group. A file that nobody listens on is replaced.

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


def remove(path: Path, inode: int) -> None:
    """Remove the file of a socket, unless it is another one by now."""
    with suppress(OSError):
        if path.lstat().st_ino == inode:
            path.unlink()
