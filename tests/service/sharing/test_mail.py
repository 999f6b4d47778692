"""Mail by SMTP to a real server on this machine, over verified TLS, and the trouble reported for each failure."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from hashdb.domain.review.due import DueMail, MailTrouble
from hashdb.service.sharing import mail
from hashdb.service.sharing.mail import MailServer, Security
from tests.builders import NOON
from tests.mailboxes import PASSWORD, Mailbox, certificate_of, mailbox

MAIL = DueMail("ada@reviewers.example", "0f", (17, 4), (2,))
SERVER = MailServer("127.0.0.1", 0, "none", "hashdb@hashes.example", "https://console.example:8444")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1."""
    return certificate_of(tmp_path_factory.mktemp("tls"), "127.0.0.1")


@pytest.fixture(scope="module")
def without_tls() -> Iterator[Mailbox]:
    with mailbox("none") as box:
        yield box


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_is_sent_over_tls_with_case_numbers_and_one_link_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certificate: Path, security: Security
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with mailbox(security, certificate, sign_in=True) as box:
        server = replace(SERVER, port=box.port, security=security, user="hashdb", password_file=file)
        assert server.send(MAIL, NOON) is None
        file.write_text("another one")
        assert server.send(MAIL, NOON) is MailTrouble.SIGN_IN
        file.unlink()
        assert server.send(MAIL, NOON) is MailTrouble.PASSWORD_FILE
    (received,) = box.mails
    assert (box.by_tls, box.recipients, set(box.users)) == ([True], [[MAIL.address]], {"hashdb"})
    assert (received["From"], received["To"]) == ("hashdb@hashes.example", MAIL.address)
    assert (received["Subject"], received["Message-ID"]) == (
        "hashdb: 2 cases due soon, 1 overdue",
        "<0f@console.example>",
    )
    assert (received["Auto-Submitted"], received["Date"].datetime) == ("auto-generated", NOON)
    assert received.get_content().splitlines() == [
        "1 case overdue: 2",
        "2 cases due soon: 17, 4",
        "",
        "The queue: https://console.example:8444/console/cases",
        "",
        "Stop these mails in the console, under My account.",
    ]


def test_a_server_without_valid_tls_gets_no_password_and_no_mail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, certificate: Path, without_tls: Mailbox
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    signed_in = replace(SERVER, user="hashdb", password_file=file)
    for security in ("starttls", "tls"):
        with mailbox(security, certificate, sign_in=True) as box:
            server = replace(signed_in, port=box.port, security=security)
            assert server.send(MAIL, NOON) is MailTrouble.CERTIFICATE
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate_of(tmp_path, "127.0.0.2")))
        assert not box.mails and not box.users
    without_tls.mails.clear()
    assert replace(signed_in, port=without_tls.port, security="starttls").send(MAIL, NOON) is MailTrouble.NOT_OFFERED
    assert not without_tls.mails and not without_tls.users


@pytest.mark.parametrize(
    ("recipient", "data", "trouble"),
    [
        ("550 no such user", "", MailTrouble.ADDRESS),
        ("450 later", "", MailTrouble.REFUSED),
        ("", "451 later", MailTrouble.REFUSED),
        ("", "554 never", MailTrouble.REFUSED),
    ],
)
def test_only_a_permanent_refusal_of_the_address_is_reported_as_such(
    without_tls: Mailbox, recipient: str, data: str, trouble: MailTrouble
) -> None:
    without_tls.refuse_recipient, without_tls.refuse_mail = recipient, data
    assert replace(SERVER, port=without_tls.port).send(MAIL, NOON) is trouble


def test_an_unreachable_or_silent_server_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "_EACH_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert replace(SERVER, port=port).send(MAIL, NOON) is MailTrouble.TOO_SLOW
    assert replace(SERVER, port=port).send(MAIL, NOON) is MailTrouble.NOT_CONNECTED
    assert replace(SERVER, host="smtp..example").send(MAIL, NOON) is MailTrouble.NOT_CONNECTED


def test_a_server_that_offers_no_known_way_to_sign_in_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD)

    def greet(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as commands:
            connection.sendall(b"220 here\r\n")
            for command in commands:
                is_hello = command.upper().startswith(b"EHLO")
                connection.sendall(b"250-mail.example\r\n250 AUTH XOAUTH2\r\n" if is_hello else b"250 OK\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=greet, args=(server,))
        thread.start()
        signed_in = replace(SERVER, port=server.getsockname()[1], user="hashdb", password_file=file)
        assert signed_in.send(MAIL, NOON) is MailTrouble.NOT_OFFERED
        thread.join(10)
    assert not thread.is_alive()


def test_a_password_that_smtp_cannot_send_is_reported(tmp_path: Path, without_tls: Mailbox) -> None:
    file = tmp_path / "password"
    file.write_text("pässword")
    signed_in = replace(SERVER, port=without_tls.port, user="hashdb", password_file=file)
    assert signed_in.send(MAIL, NOON) is MailTrouble.SIGN_IN


def test_the_console_may_have_a_name_that_is_not_ascii(without_tls: Mailbox) -> None:
    without_tls.mails.clear()
    without_tls.refuse_recipient = without_tls.refuse_mail = ""
    server = replace(SERVER, port=without_tls.port, console="https://häsch.example")
    assert server.send(MAIL, NOON) is None
    (received,) = without_tls.mails
    assert received["Message-ID"] == "<0f@localhost>"
    assert "https://häsch.example/console/cases" in received.get_content()


def test_a_server_that_answers_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "_SECONDS", 0.3)

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(b"220 here\r\n")
            while True:
                connection.sendall(b"250-more\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=drip, args=(server,))
        thread.start()
        assert replace(SERVER, port=server.getsockname()[1]).send(MAIL, NOON) is MailTrouble.TOO_SLOW
        thread.join(10)
    assert not thread.is_alive()
