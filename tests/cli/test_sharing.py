"""hashdb webhook, against a service that really delivers, and the example that receives."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

import httpx
import pytest

from hashdb.client import Client
from hashdb.webhooks import verify
from tests.builders import draft
from tests.cli.conftest import Commands
from tests.receivers import LOOPBACK, Receiver, receiver
from tests.serving import serving


@pytest.fixture(scope="module")
def delivering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Commands of a member of a service that may push to this machine."""
    home = tmp_path_factory.mktemp("delivering") / "home"
    with serving(home, HASHDB_WEBHOOK_NETWORKS=LOOPBACK, HASHDB_WEBHOOK_HTTP="1") as url:
        scopes = [word for scope in ("contribute", "match", "feed", "admin") for word in ("--scope", scope)]
        added = Commands({"HASHDB_HOME": str(home)}).json("member", "add", "Alpha", "--kind", "platform", *scopes)
        yield Commands({"HASHDB_URL": url, "HASHDB_KEY": added["key"]["secret"]})


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """A receiver."""
    with receiver() as made:
        yield made


@pytest.fixture
def added(delivering: Commands, hook: Receiver) -> Iterator[tuple[str, str]]:
    """The number of a webhook to that receiver, and its secret."""
    made = delivering.json("webhook", "add", hook.url, "--topic", "feed.changed", "--note", "mine")
    yield str(made["id"]), made["secret"]
    assert delivering.json("webhook", "delete", str(made["id"])) == {"deleted": made["id"]}


def test_a_webhook_is_tested_changed_and_its_deliveries_listed(
    delivering: Commands, hook: Receiver, added: tuple[str, str]
) -> None:
    id, secret = added
    done = delivering("webhook", "test", id)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("delivery ") and "arrived: 204 after " in done.stdout
    (received,) = hook.wait(1)
    assert verify(secret, received.headers, received.body).topic == "webhook.tested"
    hook.status = 500
    failed = delivering("webhook", "test", id)
    assert (failed.returncode, failed.stderr.partition(" did")[2]) == (1, " not arrive: 500\n")
    heads, *rows = delivering("webhook", "deliveries", id).stdout.splitlines()
    assert heads.split()[:4] == ["id", "made", "topic", "outcome"]
    assert [row.split()[5] for row in rows] == ["delivered", "failed"]
    last = delivering.json("webhook", "deliveries", id, "--outcome", "failed")["deliveries"][0]
    hook.status = 200
    assert delivering.json("webhook", "redeliver", id, str(last["id"]))["outcome"] == "delivered"
    assert "mine" in delivering("webhook", "list").stdout
    assert delivering.json("webhook", "list")["webhooks"][-1]["id"] == int(id)
    changed = delivering("webhook", "change", id, "--topic", "case.opened", "--topic", "case.decided", "--disable")
    assert changed.stdout == f"webhook {id}: disabled, reports case.opened and case.decided\n"
    renewed = delivering("webhook", "renew", id)
    assert "secret (shown only once): whsec_" in renewed.stdout
    assert delivering.json("webhook", "renew", id)["secret"] != secret


def test_a_change_is_pushed_and_counted(delivering: Commands, hook: Receiver, added: tuple[str, str]) -> None:
    with Client(delivering.environment["HASHDB_URL"], delivering.environment["HASHDB_KEY"]) as client:
        client.contribute([draft(71)])
        (received,) = hook.wait(1)
        message = verify(added[1], received.headers, received.body)
        assert message.topic == "feed.changed"
        assert message.data["count"] == 1
    told = httpx.get(
        f"{client.url}/metrics", headers={"Authorization": f"Bearer {delivering.environment['HASHDB_KEY']}"}
    )
    assert re.search(r'hashdb_webhook_deliveries_total\{outcome="delivered"\} [1-9]', told.text)
    assert "hashdb_webhook_deliveries_retrying 0" in told.text


def test_the_example_reads_what_it_is_told_of(
    delivering: Commands,
    hook: Receiver,
    added: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in (delivering.environment | {"WEBHOOK_SECRET": added[1]}).items():
        monkeypatch.setenv(name, value)
    example = importlib.import_module("examples.receive_webhooks")
    with example.hashdb:
        browser = example.app.test_client()
        example.hashdb.contribute([draft(72)])
        (received,) = hook.wait(1)
        assert browser.post("/hook", data=received.body, headers=received.headers).status_code == 204
        assert browser.post("/hook", data=received.body + b" ", headers=received.headers).status_code == 401
        before = capsys.readouterr().out.splitlines()
        assert before[-1].endswith("Contribution")
        # More than a page of the feed holds.
        example.hashdb.contribute([draft(seed) for seed in range(1_000, 2_001)])
        assert browser.post("/hook", data=received.body, headers=received.headers).status_code == 204
        after = capsys.readouterr().out.splitlines()
        assert len(after) >= 1_001
        # The log is another one, as after a restore.
        example.position[0] = (example.position[0][0], "0" * 32)
        assert browser.post("/hook", data=received.body, headers=received.headers).status_code == 204
        assert capsys.readouterr().out.splitlines() == before + after


def test_an_address_inside_is_refused_in_one_sentence(delivering: Commands) -> None:
    refused = delivering("webhook", "add", "http://10.0.0.1/", "--topic", "feed.changed")
    assert (refused.returncode, refused.stderr) == (1, "hashdb: url: this is not a public address\n")


def test_one_that_is_not_there_is_told(delivering: Commands) -> None:
    assert delivering("webhook", "delete", "999").stderr == "hashdb: webhook 999 does not exist\n"
