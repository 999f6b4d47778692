"""hashdb webhook, against a real service that delivers messages, and the example of a receiver."""

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
def member(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Commands of a member of a service that may deliver to this machine."""
    home = tmp_path_factory.mktemp("delivering") / "home"
    with serving(home, HASHDB_WEBHOOK_NETWORKS=LOOPBACK, HASHDB_WEBHOOK_HTTP="1") as url:
        scopes = [word for scope in ("contribute", "match", "feed", "admin") for word in ("--scope", scope)]
        added = Commands({"HASHDB_HOME": str(home)}).json("member", "add", "Alpha", "--kind", "platform", *scopes)
        yield Commands({"HASHDB_URL": url, "HASHDB_KEY": added["key"]["secret"]})


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """A receiver of webhook messages."""
    with receiver() as hook:
        yield hook


@pytest.fixture
def webhook(member: Commands, hook: Receiver) -> Iterator[tuple[str, str]]:
    """The id and the secret of a webhook that delivers to this receiver."""
    added = member.json("webhook", "add", hook.url, "--topic", "feed.changed", "--note", "mine")
    yield str(added["id"]), added["secret"]
    assert member.json("webhook", "delete", str(added["id"])) == {"deleted": added["id"]}


def test_a_webhook_is_tested_changed_and_its_deliveries_listed(
    member: Commands, hook: Receiver, webhook: tuple[str, str]
) -> None:
    id, secret = webhook
    result = member("webhook", "test", id)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("delivery ") and "arrived: 204 after " in result.stdout
    (received,) = hook.wait(1)
    assert verify(secret, received.headers, received.body).topic == "webhook.tested"
    hook.status = 500
    failed = member("webhook", "test", id)
    assert (failed.returncode, failed.stderr.partition(" did")[2]) == (1, " not arrive: 500\n")
    headings, *rows = member("webhook", "deliveries", id).stdout.splitlines()
    assert headings.split()[:4] == ["id", "made", "topic", "outcome"]
    assert [row.split()[5] for row in rows] == ["delivered", "failed"]
    last = member.json("webhook", "deliveries", id, "--outcome", "failed")["deliveries"][0]
    hook.status = 200
    assert member.json("webhook", "redeliver", id, str(last["id"]))["outcome"] == "delivered"
    assert "mine" in member("webhook", "list").stdout
    assert member.json("webhook", "list")["webhooks"][-1]["id"] == int(id)
    changed = member("webhook", "change", id, "--topic", "case.opened", "--topic", "case.decided", "--disable")
    assert changed.stdout == f"webhook {id}: disabled, reports case.opened and case.decided\n"
    held = member("webhook", "redeliver", id, str(last["id"] - 1))
    assert held.returncode == 0, held.stderr  # A test message is sent even so.
    renewed = member("webhook", "renew", id)
    assert "secret (shown only once): whsec_" in renewed.stdout
    assert member.json("webhook", "renew", id)["secret"] != secret


def test_a_change_is_delivered_and_counted_in_the_metrics(
    member: Commands, hook: Receiver, webhook: tuple[str, str]
) -> None:
    with Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"]) as client:
        client.contribute([draft(71)])
        (received,) = hook.wait(1)
        message = verify(webhook[1], received.headers, received.body)
        assert message.topic == "feed.changed"
        assert message.data["count"] == 1
        hook.status = 500
        client.contribute([draft(73)])
        hook.wait(2)
        member("webhook", "change", webhook[0], "--disable")
        (delivery, *_) = [each for each in client.deliveries(int(webhook[0])) if each.outcome != "delivered"]
        redelivered = member("webhook", "redeliver", webhook[0], str(delivery.id))
        reason = f"still waiting, because the webhook is disabled: run `hashdb webhook change {webhook[0]} --enable`"
        assert redelivered.returncode == 1
        assert redelivered.stderr == f"delivery {delivery.id} did not arrive: {reason}\n"
    metrics = httpx.get(
        f"{client.url}/metrics", headers={"Authorization": f"Bearer {member.environment['HASHDB_KEY']}"}
    )
    assert re.search(r'hashdb_webhook_deliveries_total\{outcome="delivered"\} [1-9]', metrics.text)
    assert "hashdb_webhook_deliveries_retrying 0" in metrics.text


def test_the_example_receiver_reads_the_changes_that_a_message_reports(
    member: Commands,
    hook: Receiver,
    webhook: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in (member.environment | {"WEBHOOK_SECRET": webhook[1]}).items():
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
        # More changes than fit into a page of the feed.
        example.hashdb.contribute([draft(seed) for seed in range(1_000, 2_001)])
        assert browser.post("/hook", data=received.body, headers=received.headers).status_code == 204
        after = capsys.readouterr().out.splitlines()
        assert len(after) >= 1_001
        # The log has another epoch, as after a restore.
        example.position[0] = (example.position[0][0], "0" * 32)
        assert browser.post("/hook", data=received.body, headers=received.headers).status_code == 204
        assert capsys.readouterr().out.splitlines() == before + after


def test_a_private_address_is_rejected_in_one_sentence(member: Commands) -> None:
    result = member("webhook", "add", "http://10.0.0.1/", "--topic", "feed.changed")
    assert (result.returncode, result.stderr) == (1, "hashdb: url: this is not a public address\n")


def test_deleting_a_missing_webhook_is_an_error(member: Commands) -> None:
    assert member("webhook", "delete", "999").stderr == "hashdb: webhook 999 does not exist\n"
