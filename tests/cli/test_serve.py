"""hashdb serve and upgrade: what starts, and what is refused."""

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
from hashdb.cli.listening import bind_error
from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.accounts.users import Role, Session, UserDraft
from hashdb.domain.sharing.webhooks import Topic, WebhookDraft
from hashdb.service.accounts import users
from hashdb.service.review import cases, due
from hashdb.service.sharing import webhooks
from hashdb.settings import Settings
from hashdb.store.migrations import NEWEST
from tests.builders import contributed, draft, member_with
from tests.cli.conftest import Commands
from tests.mailboxes import mailbox
from tests.receivers import LOOPBACK, receiver
from tests.serving import serving


def test_a_port_in_use_is_refused(run: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = run.process("serve", "--port", port)
    assert done.returncode == 1
    assert done.stderr == (
        f"hashdb: 127.0.0.1:{port} is already in use: stop what listens there, or choose another --port\n"
    )


def test_the_port_of_the_metrics_must_be_free_too(run: Commands) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        done = run("serve", "--port", "0", HASHDB_METRICS_PORT=port)
    assert (done.returncode, done.stderr) == (
        1,
        f"hashdb: 127.0.0.1:{port} is already in use: stop what listens there, or choose another HASHDB_METRICS_PORT\n",
    )
    done = run("serve", "--port", "0", HASHDB_METRICS_PORT=port, HASHDB_METRICS_HOST="192.0.2.1")
    assert (done.returncode, done.stderr) == (
        2,
        "hashdb: HASHDB_METRICS_HOST: 192.0.2.1 is not an address of this machine\n",
    )


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 64, "é" * 64, "192.0.2.1", "2001:db8::1"])
def test_an_address_that_is_not_of_this_machine_is_a_bad_setting(run: Commands, host: str) -> None:
    done = run("serve", "--host", host, "--port", "0")
    assert done.returncode == 2
    assert done.stderr.startswith("hashdb: --host: ")
    assert done.stderr.count("\n") == 1


def test_no_address_is_not_every_address(run: Commands) -> None:
    done = run("serve", "--host", "", "--port", "0")
    assert (done.returncode, done.stderr) == (
        2,
        "hashdb: --host: is empty, which would listen on every address: name one, like 127.0.0.1\n",
    )


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (errno.EADDRINUSE, "[::1]:80 is already in use: stop what listens there, or choose another --port"),
        (errno.EACCES, "--port: 80 needs the rights of the administrator: choose a port above 1023"),
        (errno.EADDRNOTAVAIL, "--host: ::1 is not an address of this machine"),
        (errno.EAFNOSUPPORT, "--host: ::1 cannot be listened on: address family not supported by protocol"),
    ],
)
def test_what_the_system_says_of_an_address_is_told_apart(error: int, sentence: str) -> None:
    assert str(bind_error(OSError(error, os.strerror(error)), "::1", 80)) == sentence


def test_a_second_service_from_one_home_is_refused(service_url: str, home: Path) -> None:
    done = Commands({"HASHDB_HOME": str(home)}).process("serve", "--port", "0")
    assert done.returncode == 1
    assert done.stderr == f"hashdb: another hashdb runs from {home}: stop it, or set HASHDB_HOME\n"


def test_the_home_is_readable_by_its_owner_only(service_url: str, home: Path) -> None:
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_what_is_made_in_a_home_that_others_may_enter_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o755)
    with serving(home):
        Commands({"HASHDB_HOME": str(home)}).process("member", "add", "Alpha", "--kind", "platform")
        made = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}
    assert {"hashdb.sqlite", "hashdb.sqlite-wal", "serve.lock", "index", "metrics"} <= made.keys()
    assert {made.pop("index"), made.pop("metrics"), made.pop("webhooks", 0o700)} == {0o700}
    assert set(made.values()) == {0o600}


def test_a_home_that_cannot_be_made_is_a_bad_setting(run: Commands, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run.process("serve", HASHDB_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 2
    assert done.stderr.startswith("hashdb: HASHDB_HOME: ")


def test_a_setting_that_is_wrong_is_named(run: Commands) -> None:
    done = run.process("serve", HASHDB_MAX_BODY="lots")
    assert (done.returncode, done.stderr[:25]) == (2, "hashdb: HASHDB_MAX_BODY: ")


@pytest.mark.parametrize("storage", ["nowhere://", "redis://127.0.0.1:port"])
def test_where_rates_cannot_be_counted_no_worker_is_started(run: Commands, storage: str) -> None:
    done = run.process("serve", "--port", "0", HASHDB_RATE_LIMIT_STORAGE=storage)
    assert done.returncode == 2
    assert re.fullmatch(r"hashdb: HASHDB_RATE_LIMIT_STORAGE: .+\n", done.stderr)


def test_an_index_elsewhere_needs_an_address(run: Commands) -> None:
    done = run("serve", HASHDB_INDEX="milvus")
    assert (done.returncode, done.stderr) == (
        2,
        "hashdb: HASHDB_MILVUS_URI: must be set for HASHDB_INDEX=milvus\n",
    )


def test_an_old_schema_is_refused_on_postgresql_until_upgraded(run: Commands, empty_postgres_url: str) -> None:
    done = run.process("serve", "--port", "0", HASHDB_DATABASE_URL=empty_postgres_url)
    assert done.returncode == 1
    assert done.stderr == f"hashdb: the database has schema none, this version needs {NEWEST}: run `hashdb upgrade`\n"
    made = run("upgrade", HASHDB_DATABASE_URL=empty_postgres_url)
    assert made.stdout == f"created schema {NEWEST} in an empty database\n"
    assert run("upgrade", HASHDB_DATABASE_URL=empty_postgres_url).stdout == "the schema is up to date\n"
    told = run.json("upgrade", HASHDB_DATABASE_URL=empty_postgres_url)
    assert told == {"schema": NEWEST, "before": NEWEST}
    with serving(Path(run.environment["HASHDB_HOME"]), HASHDB_DATABASE_URL=empty_postgres_url) as url:
        assert httpx.get(f"{url}/readyz").status_code == 200


def test_upgrade_makes_the_logs_key_before_several_start_that_share_it(run: Commands, tmp_path: Path) -> None:
    key, elsewhere = tmp_path / "shared" / "signing.key", str(tmp_path / "other.key")
    key.parent.mkdir()
    database = f"sqlite:///{tmp_path}/hashdb.sqlite"
    shared = {"HASHDB_DATABASE_URL": database, "HASHDB_SIGNING_KEY_FILE": str(key), "HASHDB_ORIGIN": "log.example"}
    for said in (f"created schema {NEWEST} in an empty database\n", "the schema is up to date\n"):
        assert run("upgrade", "--with-key", **shared).stdout == said
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    refused = run("upgrade", "--with-key", **shared | {"HASHDB_SIGNING_KEY_FILE": elsewhere})
    assert refused.returncode == 1 and refused.stderr.startswith("hashdb: the log is signed by log.example+")


@pytest.mark.parametrize("url", ["nonsense", "mysql://127.0.0.1/x"])
def test_a_database_that_cannot_be_used_is_a_bad_setting(run: Commands, url: str) -> None:
    done = run("upgrade", HASHDB_DATABASE_URL=url)
    assert done.returncode == 2
    assert done.stderr.startswith("hashdb: HASHDB_DATABASE_URL: ")


def test_a_database_that_is_away_is_told_in_one_sentence(run: Commands) -> None:
    url = "postgresql://someone:secret@127.0.0.1:9/hashdb"
    for words in (("upgrade",), ("serve", "--port", "0"), ("member", "list")):
        done = run(*words, HASHDB_DATABASE_URL=url, HASHDB_BUSY_SECONDS="1")
        said = "hashdb: the database at 127.0.0.1:9 does not answer: connection refused\n"
        assert (done.returncode, done.stderr) == (1, said)


def test_both_workers_answer_and_log_no_query_string(tmp_path: Path) -> None:
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


def test_the_service_ends_when_told_to(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz")


def _until_refused(url: str) -> list[str]:
    """Ask on a new connection each time until there is none; what went wrong before that."""
    cut_off = list[str]()
    with httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), timeout=30) as client:
        while True:
            try:
                client.post(f"{url}/v1/matches", json={})
            except httpx.ConnectError:
                return cut_off
            except httpx.TransportError as error:
                cut_off.append(repr(error))


def _statuses(url: str) -> set[tuple[int, int]]:
    """Those of `/readyz` and of what it is asked right after, until the service is gone."""
    said = set[tuple[int, int]]()
    with httpx.Client(base_url=url, timeout=30) as client:
        while True:
            try:
                said.add((client.get("/readyz").status_code, client.get("/healthz").status_code))
            except httpx.TransportError:
                return said


def test_before_it_ends_a_service_says_that_it_is_not_ready_and_goes_on(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with serving(tmp_path / "home", HASHDB_DRAIN_SECONDS="1") as url:
            asking = pool.submit(_statuses, url)
            time.sleep(0.2)
        assert (503, 200) in asking.result() and asking.result() <= {(200, 200), (503, 200)}


def test_who_comes_as_the_service_ends_is_answered_or_refused_and_never_cut_off(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        with serving(tmp_path / "home") as url:
            asking = [pool.submit(_until_refused, url) for _ in range(4)]
            # One that is kept open: with it a worker takes its time to end.
            with httpx.Client() as kept:
                assert kept.get(f"{url}/healthz").status_code == 200
                time.sleep(0.5)
        assert [one.result() for one in asking] == [[]] * 4


def test_help_names_every_command(run: Commands) -> None:
    shown = run.process("--help").stdout
    for command in ("contribute", "demo", "hash", "key", "match", "member", "serve", "upgrade", "withdraw"):
        assert f"\n  {command} " in shown
    assert run("frobnicate").returncode == 2


def test_the_version_is_printed_with_what_the_index_runs_on(run: Commands) -> None:
    assert re.fullmatch(rf"hashdb, version {__version__} \(index: (C kernel|NumPy)\)\n", run("--version").stdout)
    without = run.process("--version", HASHDB_KERNEL="0")
    assert (without.returncode, without.stdout) == (0, f"hashdb, version {__version__} (index: NumPy)\n")


@pytest.mark.parametrize(("setting", "index"), [("tiered", "NumPy"), ("bktree", "bktree")])
def test_the_service_says_what_the_index_runs_on(tmp_path: Path, setting: str, index: str) -> None:
    log = tmp_path / "serve.log"
    with serving(tmp_path / "home", log=log, HASHDB_KERNEL="0", HASHDB_INDEX=setting) as url:
        assert log.read_text().splitlines()[0] == f"hashdb {__version__} serves on {url} (index: {index})"


def test_a_command_that_searches_nothing_does_not_wait_for_numpy() -> None:
    program = "import sys, hashdb.cli; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "False\n"


def test_a_reader_that_goes_away_is_no_traceback(run: Commands) -> None:
    reading, writing = os.pipe()
    os.close(reading)

    done = subprocess.run(
        [sys.executable, "-m", "hashdb", "--help"], stdout=writing, stderr=subprocess.PIPE, timeout=30, check=False
    )
    os.close(writing)
    assert done.stderr == b""


def test_a_reader_that_waits_does_not_hold_the_end_up(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with ThreadPoolExecutor(1) as pool, serving(home) as url:
        added = Commands({"HASHDB_HOME": str(home)}).json("member", "add", "A", "--kind", "platform", "--scope", "feed")
        headers = {"Authorization": f"Bearer {added['key']['secret']}"}
        reading = pool.submit(httpx.get, f"{url}/v1/changes?wait=30", headers=headers, timeout=40)
        time.sleep(1)
        assert reading.running()
        stopped = time.monotonic()
    assert reading.result().json()["changes"] == []
    # A reader waits 30 s where nothing ends it; no figure of speed.
    assert time.monotonic() - stopped < 20


def test_two_workers_report_a_case_due_soon_once_by_mail_and_once_by_webhook(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", webhook_http=True, webhook_networks=(ip_network(LOOPBACK),))
    with mailbox("none") as box, receiver() as hook:
        with open_home(settings) as db:
            db.rules = replace(db.rules, mails=True)
            contributed(db, member_with(db), draft(1, removed_at=None))
            cases.open_case(db, COMMAND_LINE, 1, "other", holds=False)
            reviewer = users.add(db, COMMAND_LINE, UserDraft("ada", Role.REVIEWER), "correct horse battery staple")
            due.set_address(db, Session(1, reviewer.user, db.now(), db.now(), True, ""), "ada@team.example")
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
            until = time.monotonic() + 20
            while not box.mails and time.monotonic() < until:
                time.sleep(0.05)
    (mail,) = box.mails
    assert (mail["To"], mail["Subject"]) == ("ada@team.example", "hashdb: 1 case due soon")
    assert "https://console.example/console/cases" in mail.get_content()
    assert (message.json["type"], message.json["data"]["count"], len(hook.received)) == ("case.due", 1, 1)


def test_a_password_that_others_can_read_is_refused(run: Commands, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    file.chmod(0o644)
    done = run("serve", "--port", "0", HASHDB_SMTP_USER="hashdb", HASHDB_SMTP_PASSWORD_FILE=str(file))
    said = f"hashdb: the password of the mail server {file} can be read by others (mode 0644): chmod 600 {file}\n"
    assert (done.returncode, done.stderr) == (1, said)
