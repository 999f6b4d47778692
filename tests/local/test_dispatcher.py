"""Reports of look-back are sent to an address of the member."""

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
from tests.local.test_reports import cursor_at, found_match
from tests.receivers import Receiver, receiver


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
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
def messages_shown() -> list[str]:
    return []


@pytest.fixture
def secret(tmp_path: Path) -> str:
    return read_secret(tmp_path / SECRET)


def until_acknowledged(reports: Reports, number: int) -> None:
    deadline = time.monotonic() + 20
    while reports.state().acknowledged < number:
        assert time.monotonic() < deadline, reports.state()
        time.sleep(0.01)


def test_a_delivered_report_is_signed_and_acknowledged(
    reports: Reports, hook: Receiver, secret: str, tmp_path: Path
) -> None:
    reports.record(cursor_at(5), [found_match("a", 17), found_match("b", 17)], [])
    with delivering(tmp_path, hook.url, None, print):
        received = hook.wait(2)
        until_acknowledged(reports, 2)
    messages = [verify(secret, request.headers, request.body) for request in received]
    assert [message.topic for message in messages] == ["remembered.matched"] * 2
    assert [message.data["upload"] for message in messages] == ["a", "b"]
    assert len({message.id for message in messages}) == 2
    with delivering(tmp_path, hook.url, None, print):
        reports.record(cursor_at(6), [found_match("c", 17)], [])
        until_acknowledged(reports, 3)
    assert len(hook.received) == 3


def test_a_report_is_retried_until_it_arrives_and_the_next_one_waits(
    reports: Reports, hook: Receiver, tmp_path: Path, messages_shown: list[str]
) -> None:
    hook.status = 500
    reports.record(cursor_at(5), [found_match("a", 17), found_match("b", 17)], [])
    with delivering(tmp_path, hook.url, None, messages_shown.append):
        refused = hook.wait(3)
        assert reports.state().acknowledged == 0
        hook.status = 204
        until_acknowledged(reports, 2)
    assert {request.headers["webhook-id"] for request in refused} == {f"msg_{reports.name}_1"}
    assert [request.json["data"]["upload"] for request in hook.received[-2:]] == ["a", "b"]
    assert messages_shown == [
        "the webhook of look-back does not accept reports: it answered 500; trying again",
        "the webhook of look-back answers again",
    ]


def test_a_forgotten_upload_is_not_sent_after_failed_attempts(reports: Reports, hook: Receiver, tmp_path: Path) -> None:
    hook.status = 500
    reports.record(cursor_at(5), [found_match("a", 17), found_match("b", 17)], [])
    with delivering(tmp_path, hook.url, None, print):
        hook.wait(2)
        reports.forget(["a"])
        refused = len(hook.received)
        hook.status = 204
        until_acknowledged(reports, 2)
    # One report may have been on its way when the upload was forgotten.
    uploads = {request.json["data"]["upload"] for request in hook.received[refused + 1 :]}
    assert uploads <= {"b"} and hook.received[-1].json["data"]["upload"] == "b"


def test_a_redirect_does_not_count_as_delivery(reports: Reports, hook: Receiver, tmp_path: Path) -> None:
    hook.status = 307
    reports.record(cursor_at(5), [found_match("a", 17)], [])
    with delivering(tmp_path, hook.url, None, print):
        hook.wait(2)
    assert reports.state().acknowledged == 0


def test_an_unreachable_address_is_reported_once(reports: Reports, tmp_path: Path, messages_shown: list[str]) -> None:
    with receiver() as closed:
        url = closed.url
    reports.record(cursor_at(5), [found_match("a", 17)], [])
    with delivering(tmp_path, url, None, messages_shown.append):
        time.sleep(0.3)
    assert messages_shown == [
        "the webhook of look-back does not accept reports: it refuses the connection, or cannot be reached; trying"
        " again"
    ]
    assert reports.state().waiting == 1


def test_the_secret_is_created_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    assert read_secret(file) == read_secret(file) == file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "secret", "whsec_?"])
def test_a_malformed_secret_is_rejected(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    with pytest.raises(BadSetting, match=r"HASHDB_REMEMBER_SECRET_FILE.*must have whsec_ and base64"):
        read_secret(tmp_path / "secret")
    with pytest.raises(BadSetting, match="cannot be used"):
        read_secret(tmp_path / "secret" / "within")


def test_only_one_of_two_processes_sends(reports: Reports, hook: Receiver, tmp_path: Path) -> None:
    with delivering(tmp_path, hook.url, None, print):
        with delivering(tmp_path, hook.url, None, print):
            reports.record(cursor_at(5), [found_match(str(number), 17) for number in range(50)], [])
            until_acknowledged(reports, 50)
        # The remaining process continues to send.
        reports.record(cursor_at(6), [found_match("last", 17)], [])
        until_acknowledged(reports, 51)
    assert [request.json["data"]["number"] for request in hook.received] == list(range(1, 52))


def test_without_an_address_no_file_is_created(tmp_path: Path) -> None:
    with delivering(tmp_path, None, None, print):
        assert list(tmp_path.iterdir()) == []
