"""Reports that are sent to an address of the member."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from hashdb.errors import BadSetting
from hashdb.local import dispatcher
from hashdb.local.dispatcher import SECRET, delivering, read_secret
from hashdb.local.reports import Reports
from hashdb.webhooks import verify
from tests.local.test_reports import at, found
from tests.receivers import Receiver, receiver


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(dispatcher, "pause_after", lambda *_: timedelta(seconds=0.05))


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    return Reports(tmp_path)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def secret(tmp_path: Path) -> str:
    return read_secret(tmp_path / SECRET)


def until_acknowledged(reports: Reports, number: int) -> None:
    deadline = time.monotonic() + 20
    while reports.state().acknowledged < number:
        assert time.monotonic() < deadline, reports.state()
        time.sleep(0.01)


def test_what_arrives_is_signed_and_acknowledged(reports: Reports, hook: Receiver, secret: str, tmp_path: Path) -> None:
    reports.record(at(5), [found("a", 17), found("b", 17)], [])
    with delivering(tmp_path, hook.url, None, print):
        received = hook.wait(2)
        until_acknowledged(reports, 2)
    messages = [verify(secret, one.headers, one.body) for one in received]
    assert [message.topic for message in messages] == ["remembered.matched"] * 2
    assert [message.data["upload"] for message in messages] == ["a", "b"]
    assert len({message.id for message in messages}) == 2
    with delivering(tmp_path, hook.url, None, print):
        reports.record(at(6), [found("c", 17)], [])
        until_acknowledged(reports, 3)
    assert len(hook.received) == 3


def test_a_report_is_sent_until_it_arrives_and_the_next_one_waits(
    reports: Reports, hook: Receiver, tmp_path: Path, said: list[str]
) -> None:
    hook.status = 500
    reports.record(at(5), [found("a", 17), found("b", 17)], [])
    with delivering(tmp_path, hook.url, None, said.append):
        refused = hook.wait(3)
        assert reports.state().acknowledged == 0
        hook.status = 204
        until_acknowledged(reports, 2)
    assert {one.headers["webhook-id"] for one in refused} == {f"msg_{reports.name}_1"}
    assert [one.json["data"]["upload"] for one in hook.received[-2:]] == ["a", "b"]
    assert said == [
        "the webhook of look-back does not take reports: it answered 500; trying again",
        "the webhook of look-back answers again",
    ]


def test_what_is_forgotten_while_the_address_refuses_is_not_sent_later(
    reports: Reports, hook: Receiver, tmp_path: Path
) -> None:
    hook.status = 500
    reports.record(at(5), [found("a", 17), found("b", 17)], [])
    with delivering(tmp_path, hook.url, None, print):
        hook.wait(2)
        reports.forget(["a"])
        refused = len(hook.received)
        hook.status = 204
        until_acknowledged(reports, 2)
    # One may have been on its way.
    uploads = {one.json["data"]["upload"] for one in hook.received[refused + 1 :]}
    assert uploads <= {"b"} and hook.received[-1].json["data"]["upload"] == "b"


def test_a_redirect_is_no_delivery(reports: Reports, hook: Receiver, tmp_path: Path) -> None:
    hook.status = 307
    reports.record(at(5), [found("a", 17)], [])
    with delivering(tmp_path, hook.url, None, print):
        hook.wait(2)
    assert reports.state().acknowledged == 0


def test_an_address_without_a_server_is_said_once(reports: Reports, tmp_path: Path, said: list[str]) -> None:
    with receiver() as closed:
        url = closed.url
    reports.record(at(5), [found("a", 17)], [])
    with delivering(tmp_path, url, None, said.append):
        time.sleep(0.3)
    assert said == [
        "the webhook of look-back does not take reports: it refuses the connection, or is not there; trying again"
    ]
    assert reports.state().waiting == 1


def test_the_secret_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    assert read_secret(file) == read_secret(file) == file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "secret", "whsec_?"])
def test_another_text_is_no_secret(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    with pytest.raises(BadSetting, match=r"HASHDB_REMEMBER_SECRET_FILE.*must have whsec_ and base64"):
        read_secret(tmp_path / "secret")
    with pytest.raises(BadSetting, match="cannot be used"):
        read_secret(tmp_path / "secret" / "within")


def test_of_two_processes_one_sends(reports: Reports, hook: Receiver, tmp_path: Path) -> None:
    with delivering(tmp_path, hook.url, None, print):
        with delivering(tmp_path, hook.url, None, print):
            reports.record(at(5), [found(str(number), 17) for number in range(50)], [])
            until_acknowledged(reports, 50)
        # The one that is left goes on.
        reports.record(at(6), [found("last", 17)], [])
        until_acknowledged(reports, 51)
    assert [one.json["data"]["number"] for one in hook.received] == list(range(1, 52))


def test_without_an_address_nothing_is_made(tmp_path: Path) -> None:
    with delivering(tmp_path, None, None, print):
        assert list(tmp_path.iterdir()) == []
