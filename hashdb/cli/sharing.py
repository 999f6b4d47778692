"""hashdb webhook: manage the addresses to which the service pushes changes, and the deliveries to them."""

from __future__ import annotations

import time
from datetime import datetime

import click

from hashdb.cli.help import Choice, Group
from hashdb.cli.options import TEXT, Id
from hashdb.cli.output import as_json, print_json, print_list, print_result
from hashdb.client import Client
from hashdb.domain.meanings import explain_all
from hashdb.domain.sharing.webhooks import (
    TEST_TOPIC,
    Delivery,
    DeliveryOutcome,
    IssuedWebhook,
    Topic,
    Webhook,
    WebhookChange,
    WebhookDraft,
)
from hashdb.wire.sharing.webhooks import DeliveriesOut, DeliveryOut, WebhookOut, WebhooksOut

_PATIENCE_SECONDS = 30.0
"""How long a command waits for the first attempt of a delivery."""
_POLL_SECONDS = 0.2
"""From one look at the delivery to the next."""
_id = click.argument("webhook", type=Id("webhook"))
_TOPICS = Choice(explain_all("topic"))


@click.group(
    "webhook",
    cls=Group,
    examples=(
        "hashdb webhook add https://hooks.example/hashdb --topic case.opened --topic case.decided",
        "hashdb webhook test 1",
    ),
)
def webhook_command() -> None:
    """Manage webhooks and their deliveries.

    With a webhook, the service sends a message to your server when something changes.
    """


@webhook_command.command(
    "add", examples=("hashdb webhook add https://hooks.example/hashdb --topic feed.changed --note 'Cache'",)
)
@click.argument("url", type=TEXT)
@click.option("--topic", "topics", type=_TOPICS, multiple=True, required=True, help="What to report; may be repeated.")
@click.option("--note", type=TEXT, default="", help="What it is for.")
@as_json
def add(url: str, topics: tuple[str, ...], note: str, as_json: bool) -> None:
    """Add a webhook that sends messages to URL.

    The secret, which signs the messages, is shown only once.
    """
    with Client.from_environment() as client:
        _print_secret(client.add_webhook(WebhookDraft(url, tuple(map(Topic, topics)), note)), as_json)


@webhook_command.command("list", examples=("hashdb webhook list",))
@as_json
def browse(as_json: bool) -> None:
    """List your webhooks; with the scope `audit`, those of all members."""
    with Client.from_environment() as client:
        webhooks = list(client.webhooks())
    print_list(
        WebhooksOut,
        webhooks,
        [">id", "url", "topics", "state", "note"],
        lambda webhook: [webhook.id, webhook.url, " ".join(webhook.topics), _format_state(webhook), webhook.note],
        as_json,
    )


@webhook_command.command(
    "change", examples=("hashdb webhook change 1 --disable", "hashdb webhook change 1 --topic case.opened")
)
@_id
@click.option("--url", type=TEXT, help="New URL.")
@click.option("--topic", "topics", type=_TOPICS, multiple=True, help="What to report instead; may be repeated.")
@click.option("--note", type=TEXT, help="What it is for.")
@click.option(
    "--enable/--disable", "enabled", default=None, help="Send messages again from where it stopped, or stop sending."
)
@as_json
def change(
    webhook: int, url: str | None, topics: tuple[str, ...], note: str | None, enabled: bool | None, as_json: bool
) -> None:
    """Change a webhook.

    WEBHOOK is its id.
    """
    webhook_change = WebhookChange(url, tuple(map(Topic, topics)) or None, note, enabled)
    with Client.from_environment() as client:
        changed = client.change_webhook(webhook, webhook_change)
    print_result(
        WebhookOut.from_domain(changed),
        f"webhook {changed.id}: {_format_state(changed)}, reports {' and '.join(changed.topics)}",
        as_json,
    )


@webhook_command.command("delete", examples=("hashdb webhook delete 1",))
@_id
@as_json
def delete(webhook: int, as_json: bool) -> None:
    """Delete a webhook and the list of its deliveries."""
    with Client.from_environment() as client:
        client.delete_webhook(webhook)
    print_result({"deleted": webhook}, f"webhook {webhook} deleted", as_json)


@webhook_command.command("renew", examples=("hashdb webhook renew 1",))
@_id
@as_json
def renew(webhook: int, as_json: bool) -> None:
    """Replace the secret of a webhook.

    The new secret is shown only once. For 24 hours, messages are signed with the old secret, too.
    """
    with Client.from_environment() as client:
        _print_secret(client.renew_webhook(webhook), as_json)


@webhook_command.command("test", examples=("hashdb webhook test 1",))
@_id
@as_json
def test(webhook: int, as_json: bool) -> int:
    """Send a test message, and report whether it arrived.

    Exits 1 if it did not.
    """
    with Client.from_environment() as client:
        return _print_delivery(client, client.test_webhook(webhook), as_json)


@webhook_command.command("deliveries", examples=("hashdb webhook deliveries 1 --outcome failed",))
@_id
@click.option("--outcome", type=Choice(explain_all("outcome")), help="List only deliveries with this outcome.")
@as_json
def deliveries(webhook: int, outcome: str | None, as_json: bool) -> None:
    """List the deliveries of a webhook, the oldest first."""
    with Client.from_environment() as client:
        listed = list(client.deliveries(webhook, None if outcome is None else DeliveryOutcome(outcome)))
    print_list(
        DeliveriesOut,
        listed,
        [">id", "made", "topic", "outcome", ">attempts", "answer", ">ms", "next attempt"],
        lambda delivery: [
            delivery.id,
            _format_time(delivery.message.at),
            delivery.message.topic,
            delivery.outcome,
            delivery.attempts,
            _format_answer(delivery),
            delivery.ms,
            _format_time(delivery.next_at),
        ],
        as_json,
    )


@webhook_command.command("redeliver", examples=("hashdb webhook redeliver 1 12",))
@_id
@click.argument("delivery", type=Id("delivery"))
@as_json
def redeliver(webhook: int, delivery: int, as_json: bool) -> int:
    """Send a delivery again, and report whether it arrived.

    Exits 1 if it did not.
    """
    with Client.from_environment() as client:
        return _print_delivery(client, client.redeliver(webhook, delivery), as_json)


def _print_delivery(client: Client, delivery: Delivery, as_json: bool) -> int:
    """Wait for the first attempt, print its outcome, and return the exit status. A redelivery has 0 attempts again."""
    # A disabled webhook gets only test messages.
    is_held = delivery.message.topic != TEST_TOPIC and any(
        webhook.id == delivery.webhook and not webhook.enabled for webhook in client.webhooks()
    )
    deadline = time.monotonic() + (0 if is_held else _PATIENCE_SECONDS)
    while delivery.outcome is DeliveryOutcome.WAITING and not delivery.attempts and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        delivery = client.delivery(delivery.webhook, delivery.id)
    if as_json:
        print_json(DeliveryOut.from_domain(delivery))
    elif delivery.outcome is DeliveryOutcome.DELIVERED:
        click.echo(f"delivery {delivery.id} arrived: {delivery.status} after {delivery.ms} ms")
    else:
        # Before the first attempt, the status and the trouble are those of an earlier delivery.
        reason = _format_answer(delivery) if delivery.attempts else "still waiting"
        if is_held and not delivery.attempts:
            reason += f", because the webhook is disabled: run `hashdb webhook change {delivery.webhook} --enable`"
        click.echo(f"delivery {delivery.id} did not arrive: {reason}", err=True)
    return 0 if delivery.outcome is DeliveryOutcome.DELIVERED else 1


def _print_secret(issued: IssuedWebhook, as_json: bool) -> None:
    text = f"webhook {issued.webhook.id} reports {' and '.join(issued.webhook.topics)}"
    print_result(WebhookOut.from_issued(issued), f"{text}\nsecret (shown only once): {issued.secret}", as_json)


def _format_state(webhook: Webhook) -> str:
    failing = f"failing since {_format_time(webhook.failing_since)}" if webhook.failing_since else ""
    if webhook.enabled:
        return failing or "enabled"
    return f"disabled, {failing}" if failing else "disabled"


def _format_answer(delivery: Delivery) -> str:
    if delivery.status is not None:
        return str(delivery.status)
    return "" if delivery.trouble is None else delivery.trouble.replace("_", " ")


def _format_time(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
