"""hashdb serve and upgrade: when they start, and when they report an error instead."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from hashdb import __version__
from hashdb.cli.home import open_home
from hashdb.cli.listening import bind_error, have_common_address
from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.accounts.users import Role, UserDraft
from hashdb.domain.sharing.webhooks import Topic, WebhookDraft
from hashdb.service.accounts import sessions, users
from hashdb.service.review import cases, due
from hashdb.service.sharing import webhooks
from hashdb.settings import Settings
from hashdb.store.migrations import NEWEST
from tests.builders import contributed, draft, member_with
from tests.cli.conftest import Commands
from tests.cli.test_witness import free_port
from tests.mailboxes import mailbox
from tests.receivers import LOOPBACK, receiver
from tests.serving import serving


def test_a_port_in_use_is_reported(run: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        result = run.process("serve", "--port", port)
    assert result.returncode == 1
    assert result.stderr == (
        f"hashdb: 127.0.0.1:{port} is already in use: stop the program that listens there, or choose another --port\n"
    )


def test_the_port_of_the_metrics_must_be_free_too(run: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        result = run("serve", "--port", "0", HASHDB_METRICS_PORT=port)
    assert (result.returncode, result.stderr) == (
        1,
        f"hashdb: 127.0.0.1:{port} is already in use: stop the program that listens there, or choose another"
        " HASHDB_METRICS_PORT\n",
    )
    result = run("serve", "--port", "0", HASHDB_METRICS_PORT=port, HASHDB_METRICS_HOST="192.0.2.1")
    assert (result.returncode, result.stderr) == (
        2,
        "hashdb: HASHDB_METRICS_HOST: 192.0.2.1 is not an address of this machine\n",
    )


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64, "é" * 64, "192.0.2.1", "2001:db8::1"])
def test_a_host_that_is_not_this_machine_is_a_bad_setting(run: Commands, host: str) -> None:
    result = run("serve", "--host", host, "--port", "0")
    assert result.returncode == 2
    assert result.stderr.startswith("hashdb: --host: ")
    assert result.stderr.count("\n") == 1


def test_an_empty_host_does_not_mean_every_address(run: Commands) -> None:
    result = run("serve", "--host", "", "--port", "0")
    assert (result.returncode, result.stderr) == (
        2,
        "hashdb: --host: is empty, which would listen on every address: name one, like 127.0.0.1\n",
    )


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errno.EADDRINUSE, "[::1]:80 is already in use: stop the program that listens there, or choose another --port"),
        (errno.EACCES, "--port: 80 needs administrator rights: choose a port above 1023"),
        (errno.EADDRNOTAVAIL, "--host: ::1 is not an address of this machine"),
        (errno.EAFNOSUPPORT, "--host: cannot listen on ::1: address family not supported by protocol"),
    ],
)
def test_each_bind_error_has_its_own_message(error: int, sentence: str) -> None:
    assert str(bind_error(OSError(error, os.strerror(error)), "::1", 80)) == sentence


def test_a_second_service_in_the_same_home_does_not_start(service_url: str, home: Path) -> None:
    result = Commands({"HASHDB_HOME": str(home)}).process("serve", "--port", "0")
    assert result.returncode == 1
    assert result.stderr == f"hashdb: another hashdb runs from {home}: stop it, or set HASHDB_HOME\n"


def test_only_the_owner_can_read_the_home(service_url: str, home: Path) -> None:
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_only_the_owner_can_read_files_in_a_home_that_others_can_enter(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    with serving(home):
        Commands({"HASHDB_HOME": str(home)}).process("member", "add", "Alpha", "--kind", "platform")
        created = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}
    assert {"hashdb.sqlite", "hashdb.sqlite-wal", "serve.lock", "index", "metrics"} <= created.keys()
    assert {created.pop("index"), created.pop("metrics"), created.pop("webhooks", 0o700)} == {0o700}
    assert set(created.values()) == {0o600}


def test_a_home_that_cannot_be_created_is_a_bad_setting(run: Commands, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run.process("serve", HASHDB_HOME=str(tmp_path / "file" / "home"))
    assert result.returncode == 2
    assert result.stderr.startswith("hashdb: HASHDB_HOME: ")


def test_the_metrics_have_a_port_of_their_own(run: Commands) -> None:
    port = str(free_port())
    result = run("serve", "--port", port, HASHDB_METRICS_PORT=port)
    error = f"hashdb: HASHDB_METRICS_PORT: {port} is the port of the service: choose another one\n"
    assert (result.returncode, result.stderr) == (2, error)


@pytest.mark.parametrize(
    ("host", "other_host", "have_common"),
    [
        ("127.0.0.1", "localhost", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("192.0.2.1", "0.0.0.0", True),
        ("192.0.2.1", "127.0.0.1", False),
        ("2001:db8::1", "127.0.0.1", False),
    ],
)
def test_servers_on_different_addresses_may_have_the_same_port(host: str, other_host: str, have_common: bool) -> None:
    assert have_common_address(host, other_host) is have_common


def test_an_invalid_setting_is_reported_with_its_name(run: Commands) -> None:
    result = run.process("serve", HASHDB_MAX_BODY="lots")
    assert (result.returncode, result.stderr[:25]) == (2, "hashdb: HASHDB_MAX_BODY: ")


@pytest.mark.parametrize("storage", ["nowhere://", "redis://127.0.0.1:port"])
def test_serve_does_not_start_with_an_unusable_rate_limit_storage(run: Commands, storage: str) -> None:
    result = run.process("serve", "--port", "0", HASHDB_RATE_LIMIT_STORAGE=storage)
    assert result.returncode == 2
    assert re.fullmatch(r"hashdb: HASHDB_RATE_LIMIT_STORAGE: .+\n", result.stderr)


def test_the_engine_milvus_needs_an_address(run: Commands) -> None:
    result = run("serve", HASHDB_INDEX="milvus")
    assert (result.returncode, result.stderr) == (
        2,
        "hashdb: HASHDB_MILVUS_URI: must be set for HASHDB_INDEX=milvus\n",
    )


def test_serve_rejects_an_old_postgresql_schema_until_the_upgrade(run: Commands, empty_postgres_url: str) -> None:
    result = run.process("serve", "--port", "0", HASHDB_DATABASE_URL=empty_postgres_url)
    assert result.returncode == 1
    assert result.stderr == f"hashdb: the database has no schema, this version needs {NEWEST}: run `hashdb upgrade`\n"
    upgraded = run("upgrade", HASHDB_DATABASE_URL=empty_postgres_url)
    assert upgraded.stdout == f"created schema {NEWEST} in an empty database\n"
    assert run("upgrade", HASHDB_DATABASE_URL=empty_postgres_url).stdout == "the schema is up to date\n"
    output = run.json("upgrade", HASHDB_DATABASE_URL=empty_postgres_url)
    assert output == {"schema": NEWEST, "before": NEWEST}
    with serving(Path(run.environment["HASHDB_HOME"]), HASHDB_DATABASE_URL=empty_postgres_url) as url:
        assert httpx.get(f"{url}/readyz").status_code == 200


def test_upgrade_with_key_creates_the_signing_key_only_once(run: Commands, tmp_path: Path) -> None:
    key, other_key = tmp_path / "shared" / "signing.key", str(tmp_path / "other.key")
    key.parent.mkdir()
    database = f"sqlite:///{tmp_path}/hashdb.sqlite"
    environment = {"HASHDB_DATABASE_URL": database, "HASHDB_SIGNING_KEY_FILE": str(key), "HASHDB_ORIGIN": "log.example"}
    for output in (f"created schema {NEWEST} in an empty database\n", "the schema is up to date\n"):
        assert run("upgrade", "--with-key", **environment).stdout == output
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    result = run("upgrade", "--with-key", **environment | {"HASHDB_SIGNING_KEY_FILE": other_key})
    assert result.returncode == 1 and result.stderr.startswith("hashdb: the log is signed by log.example+")


@pytest.mark.parametrize("url", ["nonsense", "mysql://127.0.0.1/x"])
def test_an_invalid_database_url_is_a_bad_setting(run: Commands, url: str) -> None:
    result = run("upgrade", HASHDB_DATABASE_URL=url)
    assert result.returncode == 2
    assert result.stderr.startswith("hashdb: HASHDB_DATABASE_URL: ")


def test_an_unreachable_database_is_reported_in_one_sentence(run: Commands) -> None:
    url = "postgresql://someone:secret@127.0.0.1:9/hashdb"
    for words in (("upgrade",), ("serve", "--port", "0"), ("member", "list")):
        result = run(*words, HASHDB_DATABASE_URL=url, HASHDB_BUSY_SECONDS="1")
        error = "hashdb: the database at 127.0.0.1:9 does not answer: connection refused\n"
        assert (result.returncode, result.stderr) == (1, error)


def test_the_log_has_no_query_string_no_hash_and_no_client_address(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    with serving(tmp_path / "home", log=log) as url:
        for _ in range(20):
            assert httpx.get(f"{url}/healthz?secret=hdb_hidden").status_code == 200
        assert httpx.get(f"{url}/v1/contributions/pdq:abcdef").status_code == 404
    text = log.read_text()
    assert '"route": "/healthz"' in text
    assert "hdb_hidden" not in text
    assert "abcdef" not in text
    assert '127.0.0.1"' not in text


def test_a_stopped_service_refuses_connections(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")


def _errors_until_refused(url: str) -> list[str]:
    """Send requests on new connections until a connection is refused. Return the errors before that."""
    errors = list[str]()
    with httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=30) as client:
        while True:
            try:
                client.post(f"{url}/v1/matches", json={})
            except httpx.ConnectError:
                return errors
            except httpx.TransportError as error:
                errors.append(repr(error))


def _statuses_until_stopped(url: str) -> set[tuple[int, int]]:
    """The statuses of `/readyz` and of the request right after it, until the service has stopped."""
    statuses = set[tuple[int, int]]()
    with httpx.Client(base_url=url, timeout=30) as client:
        while True:
            try:
                statuses.add((client.get("/readyz").status_code, client.get("/healthz").status_code))
            except httpx.TransportError:
                return statuses


def test_a_stopping_service_is_not_ready_and_still_answers(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with serving(tmp_path / "home", HASHDB_DRAIN_SECONDS="1") as url:
            statuses = pool.submit(_statuses_until_stopped, url)
            time.sleep(0.2)
        assert (503, 200) in statuses.result() and statuses.result() <= {(200, 200), (503, 200)}


def test_a_stopping_service_answers_or_refuses_clients_and_never_cuts_them_off(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        with serving(tmp_path / "home") as url:
            clients = [pool.submit(_errors_until_refused, url) for _ in range(4)]
            # An open connection, so that a worker needs time to stop.
            with httpx.Client() as client:
                assert client.get(f"{url}/healthz").status_code == 200
                time.sleep(0.5)
        assert [errors.result() for errors in clients] == [[]] * 4


def test_help_lists_the_commands(run: Commands) -> None:
    help_text = run.process("--help").stdout
    for command in ("contribute", "demo", "hash", "key", "match", "member", "serve", "upgrade", "withdraw"):
        assert f"\n  {command} " in help_text
    assert run("frobnicate").returncode == 2


def test_the_version_shows_which_implementation_the_index_uses(run: Commands) -> None:
    assert re.fullmatch(rf"hashdb, version {__version__} \(index: (C kernel|NumPy)\)\n", run("--version").stdout)
    result = run.process("--version", HASHDB_KERNEL="0")
    assert (result.returncode, result.stdout) == (0, f"hashdb, version {__version__} (index: NumPy)\n")


@pytest.mark.parametrize(("setting", "index"), [("tiered", "NumPy"), ("bktree", "bktree")])
def test_serve_logs_which_implementation_the_index_uses(tmp_path: Path, setting: str, index: str) -> None:
    log = tmp_path / "serve.log"
    with serving(tmp_path / "home", log=log, HASHDB_KERNEL="0", HASHDB_INDEX=setting) as url:
        assert log.read_text().splitlines()[0] == f"hashdb {__version__} serves on {url} (index: {index})"


def test_importing_the_commands_does_not_import_numpy() -> None:
    program = "import sys, hashdb.cli; print('numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout == "False\n"


def test_a_closed_output_pipe_causes_no_traceback(run: Commands) -> None:
    reading_end, writing_end = os.pipe()
    os.close(reading_end)

    result = subprocess.run(
        [sys.executable, "-m", "hashdb", "--help"], stdout=writing_end, stderr=subprocess.PIPE, timeout=30, check=False
    )
    os.close(writing_end)
    assert result.stderr == b""


def test_a_waiting_reader_of_the_feed_does_not_delay_the_stop(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with ThreadPoolExecutor(1) as pool, serving(home) as url:
        added = Commands({"HASHDB_HOME": str(home)}).json("member", "add", "A", "--kind", "platform", "--scope", "feed")
        headers = {"Authorization": f"Bearer {added['key']['secret']}"}
        reader = pool.submit(httpx.get, f"{url}/v1/changes?wait=30", headers=headers, timeout=40)
        time.sleep(1)
        assert reader.running()
        stopped = time.monotonic()
    assert reader.result().json()["changes"] == []
    # The reader would wait 30 s if the stop did not end its request. This limit does not measure speed.
    assert time.monotonic() - stopped < 20


def test_two_workers_report_a_case_due_soon_once_by_mail_and_once_by_webhook(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", webhook_http=True, webhook_networks=(ip_network(LOOPBACK),))
    with mailbox("none") as box, receiver() as hook:
        with open_home(settings) as db:
            db.rules = replace(db.rules, mails=True)
            contributed(db, member_with(db), draft(1, removed_at=None))
            cases.open_case(db, COMMAND_LINE, 1, "other", holds=False)
            users.add(db, COMMAND_LINE, UserDraft("ada", Role.REVIEWER), "correct horse battery staple")
            session = sessions.sign_in(db, "ada", "correct horse battery staple", "address").session
            due.set_address(db, session, "ada@team.example")
            webhooks.add(db, member_with(db, Scope.REVIEW), WebhookDraft(hook.url, (Topic.CASE_DUE,)))
        with serving(
            settings.home,
            HASHDB_SMTP_HOST="127.0.0.1",
            HASHDB_SMTP_PORT=str(box.port),
            HASHDB_SMTP_SECURITY="none",
            HASHDB_SMTP_FROM="hashdb@h.example",
            HASHDB_DUE_SOON="100",
            HASHDB_CONSOLE_URL="https://console.example",
            HASHDB_WEBHOOK_HTTP="true",
            HASHDB_WEBHOOK_NETWORKS=LOOPBACK,
        ):
            (message,) = hook.wait(1)
            deadline = time.monotonic() + 20
            while not box.mails and time.monotonic() < deadline:
                time.sleep(0.05)
    (mail,) = box.mails
    assert (mail["To"], mail["Subject"]) == ("ada@team.example", "hashdb: 1 case due soon")
    assert "https://console.example/console/cases" in mail.get_content()
    assert (message.json["type"], message.json["data"]["count"], len(hook.received)) == ("case.due", 1, 1)


def test_a_password_file_that_others_can_read_is_rejected(run: Commands, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    file.chmod(0o644)
    result = run("serve", "--port", "0", HASHDB_SMTP_USER="hashdb", HASHDB_SMTP_PASSWORD_FILE=str(file))
    error = f"hashdb: the password of the mail server {file} can be read by others (mode 0644): chmod 600 {file}\n"
    assert (result.returncode, result.stderr) == (1, error)
