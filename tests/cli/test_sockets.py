"""Sockets: access to a Unix socket, which a live server keeps, and how a server stops accepting connections."""

from __future__ import annotations

import grp
import os
import socket
from pathlib import Path

import pytest

from hashdb.cli.sockets import listen, refuse_new, remove_socket_file
from hashdb.errors import BadSetting, PortInUse


def permissions(path: Path) -> int:
    """The permissions of a file."""
    return path.stat().st_mode & 0o777


def test_only_the_owner_can_use_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    before = os.umask(0)
    try:
        with listen(path):
            assert permissions(path) == 0o600
            assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_a_group_can_be_allowed_to_use_a_socket(tmp_path: Path) -> None:
    path, group = tmp_path / "s", grp.getgrgid(os.getgid()).gr_name
    with listen(path, group):
        assert (permissions(path), path.stat().st_gid) == (0o660, os.getgid())
    path.unlink()
    with pytest.raises(BadSetting, match="no group of this name"):
        listen(path, "no-such-group")
    assert not path.exists()


def test_an_unused_socket_file_is_replaced_and_one_in_use_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listen(path).close()
    assert path.is_socket()
    with listen(path) as listener:
        inode = path.stat().st_ino
        with pytest.raises(PortInUse, match="already in use"):
            listen(path)
        assert path.stat().st_ino == inode
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            listener.accept()[0].close()


def test_a_file_that_is_not_a_socket_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("mine")
    with pytest.raises(BadSetting, match="is not a socket"):
        listen(path)
    assert path.read_text() == "mine"
    for wrong, reason in (
        (tmp_path / "nowhere" / "s", "folder does not exist"),
        (tmp_path / ("x" * 120), "too long"),
        (path / "s", "not a directory"),
    ):
        with pytest.raises(BadSetting, match=reason):
            listen(wrong)


def test_a_server_removes_only_its_own_socket_file(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listen(path).close()
    inode = path.stat().st_ino
    other = tmp_path / "other"
    listen(other).close()
    other.rename(path)
    remove_socket_file(path, inode)
    assert path.exists()
    remove_socket_file(path, path.stat().st_ino)
    assert not path.exists()
    remove_socket_file(path, inode)


def test_a_tcp_socket_refuses_new_connections_after_accepting_the_pending() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        with socket.create_connection(address, 5) as client:
            refuse_new([listener])
            with pytest.raises(TimeoutError):
                socket.create_connection(address, 0.2)
            with listener.accept()[0] as accepted:
                client.sendall(b"question")
                assert accepted.recv(100) == b"question"
                accepted.sendall(b"answer")
                assert client.recv(100) == b"answer"
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 5)


def test_a_unix_socket_refuses_new_connections_at_once(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with listen(Path(path)) as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        refuse_new([listener])
        with socket.socket(socket.AF_UNIX) as late, pytest.raises(ConnectionRefusedError):
            late.connect(path)
        with listener.accept()[0] as accepted:
            client.sendall(b"question")
            assert accepted.recv(100) == b"question"
