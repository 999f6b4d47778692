"""hashdb webhook: where changes are pushed to."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import click

from hashdb.cli.home import prepare_home
from hashdb.cli.options import TEXT
from hashdb.cli.output import as_json, counted, print_json, print_table
from hashdb.client import Client
from hashdb.domain.sharing.webhooks import (
    Delivery,
    DeliveryOutcome,
    IssuedWebhook,
    Topic,
    Webhook,
    WebhookChange,
    WebhookDraft,
)
from hashdb.errors import ServiceError, ServiceUnreachable, Unavailable
from hashdb.local import Sync, syncing
from hashdb.settings import Settings
from hashdb.wire import LARGEST_ID
from hashdb.wire.sharing.feed import DeliveriesOut, DeliveryOut, WebhookOut, WebhooksOut

_FAILED = 1
_PATIENCE = 30.0
_POLL = 0.2
_id = click.argument("webhook", type=click.IntRange(1, LARGEST_ID))
_delivery = click.argument("delivery", type=click.IntRange(1, LARGEST_ID))
_TOPICS = click.Choice(list(map(str, Topic)))


@click.group("webhook")
def webhook_command() -> None:
    """Have the service push to an address of yours what changes, and see what it delivered."""


@webhook_command.command("add")
@click.argument("url", type=TEXT)
@click.option("--topic", "topics", type=_TOPICS, multiple=True, required=True, help="What to tell of; may be repeated.")
@click.option("--note", type=TEXT, default="", help="What it is for.")
@as_json
def add(url: str, topics: tuple[str, ...], note: str, as_json: bool) -> None:
    """Make a webhook to URL. Its secret is shown this once."""
    with Client.from_environment() as client:
        _tell_secret(client.add_webhook(WebhookDraft(url, tuple(map(Topic, topics)), note)), as_json)


@webhook_command.command("list")
@as_json
def browse(as_json: bool) -> None:
    """List your webhooks (with scope admin, everybody's)."""
    with Client.from_environment() as client:
        found = list(client.webhooks())
    if as_json:
        print_json(WebhooksOut.model_construct(webhooks=[WebhookOut.from_domain(one) for one in found], next=None))
        return
    rows = [[str(one.id), one.url, " ".join(one.topics), _state(one), one.note] for one in found]
    print_table([">id", "url", "topics", "state", "note"], rows)


@webhook_command.command("change")
@_id
@click.option("--url", type=TEXT, help="Where to push from now on.")
@click.option("--topic", "topics", type=_TOPICS, multiple=True, help="What to tell of, instead of what it told.")
@click.option("--note", type=TEXT, help="What it is for.")
@click.option("--enable/--disable", "enabled", default=None, help="Send again from where it stopped, or send nothing.")
@as_json
def change(
    webhook: int, url: str | None, topics: tuple[str, ...], note: str | None, enabled: bool | None, as_json: bool
) -> None:
    """Change a webhook."""
    asked = WebhookChange(url, tuple(map(Topic, topics)) or None, note, enabled)
    with Client.from_environment() as client:
        changed = client.change_webhook(webhook, asked)
    if as_json:
        print_json(WebhookOut.from_domain(changed))
    else:
        click.echo(f"webhook {changed.id}: {_state(changed)}, tells of {' and '.join(changed.topics)}")


@webhook_command.command("delete")
@_id
@as_json
def delete(webhook: int, as_json: bool) -> None:
    """Delete a webhook, and the list of what it delivered."""
    with Client.from_environment() as client:
        client.delete_webhook(webhook)
    if as_json:
        print_json({"deleted": webhook})
    else:
        click.echo(f"webhook {webhook} is deleted")


@webhook_command.command("renew")
@_id
@as_json
def renew(webhook: int, as_json: bool) -> None:
    """Give a webhook another secret, shown this once. The one before signs beside it for 24 hours."""
    with Client.from_environment() as client:
        _tell_secret(client.renew_webhook(webhook), as_json)


@webhook_command.command("test")
@_id
@as_json
def test(webhook: int, as_json: bool) -> int:
    """Have a message sent that tells of nothing, and tell whether it arrived: exit 1 where it did not."""
    with Client.from_environment() as client:
        return _tell(client, client.test_webhook(webhook), as_json)


@webhook_command.command("deliveries")
@_id
@click.option("--outcome", type=click.Choice(list(map(str, DeliveryOutcome))), help="Only those.")
@as_json
def deliveries(webhook: int, outcome: str | None, as_json: bool) -> None:
    """List what was delivered to a webhook, and what waits, the oldest first."""
    with Client.from_environment() as client:
        found = list(client.deliveries(webhook, None if outcome is None else DeliveryOutcome(outcome)))
    if as_json:
        print_json(DeliveriesOut.model_construct(deliveries=[DeliveryOut.from_domain(one) for one in found], next=None))
        return
    rows = [
        [
            str(one.id),
            _spelled(one.message.at),
            one.message.topic,
            str(one.outcome),
            str(one.attempts),
            _last(one),
            "" if one.ms is None else str(one.ms),
            _spelled(one.next_at),
        ]
        for one in found
    ]
    print_table([">id", "made", "topic", "outcome", ">attempts", "answer", ">ms", "next attempt"], rows)


@webhook_command.command("redeliver")
@_id
@_delivery
@as_json
def redeliver(webhook: int, delivery: int, as_json: bool) -> int:
    """Send a delivery again, now, and tell whether it arrived: exit 1 where it did not."""
    with Client.from_environment() as client:
        return _tell(client, client.redeliver(webhook, delivery), as_json)


def _tell(client: Client, sent: Delivery, as_json: bool) -> int:
    """Wait for the first attempt, and tell how it went."""
    until = time.monotonic() + _PATIENCE
    while sent.outcome is DeliveryOutcome.WAITING and not sent.attempts and time.monotonic() < until:
        time.sleep(_POLL)
        sent = client.delivery(sent.webhook, sent.id)
    if as_json:
        print_json(DeliveryOut.from_domain(sent))
    elif sent.outcome is DeliveryOutcome.DELIVERED:
        click.echo(f"delivery {sent.id} has arrived: {sent.status} after {sent.ms} ms")
    else:
        click.echo(f"delivery {sent.id} has not arrived: {_last(sent) or 'it waits'}", err=True)
    return 0 if sent.outcome is DeliveryOutcome.DELIVERED else _FAILED


def _tell_secret(issued: IssuedWebhook, as_json: bool) -> None:
    if as_json:
        print_json(WebhookOut.from_issued(issued))
        return
    click.echo(f"webhook {issued.webhook.id} tells of {' and '.join(issued.webhook.topics)}")
    click.echo(f"secret (shown this once): {issued.secret}")


def _state(webhook: Webhook) -> str:
    failing = f"failing since {_spelled(webhook.failing_since)}" if webhook.failing_since else ""
    if webhook.enabled:
        return failing or "enabled"
    return f"disabled, {failing}" if failing else "disabled"


def _last(delivery: Delivery) -> str:
    if delivery.status is not None:
        return str(delivery.status)
    return "" if delivery.trouble is None else delivery.trouble.replace("_", " ")


def _spelled(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


_WAIT = 20
"""Seconds that a request of `--follow` waits for a change."""
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0


@click.command("sync")
@click.option("--follow", is_flag=True, help="Go on for ever: a change is there within a second of being made.")
@as_json
def sync_command(follow: bool, as_json: bool) -> None:
    """Bring the local copy level, from where it was. `hashdb match --local` reads it, also meanwhile."""
    if follow and as_json:
        raise click.UsageError("--follow does not end, so it prints no JSON document")
    started_over: list[str] = []

    def say(said: str) -> None:
        started_over.append(said)
        click.echo(f"hashdb: {said}", err=True)

    home = Settings.read().home
    prepare_home(home)
    folder = home / "local"
    with Client.from_environment() as client, syncing(folder, client, say=say) as sync:
        bar, advance = counted("syncing")
        with bar:
            changes = sync.catch_up(progress=advance)
        state, count = sync.state, sync.count()
        if as_json:
            said = {"checkpoint": state.seq, "epoch": state.epoch, "contributions": count, "changes": changes}
            print_json(said | {"started_over": bool(started_over)})
            return
        _print_progress(sync, changes)
        if follow:
            _follow(sync, lambda: _print_progress(sync, sync.catch_up(_WAIT), quiet=True))


def _follow(sync: Sync, once: Callable[[], None]) -> None:
    pause = _PAUSE
    while True:
        try:
            once()
            pause = _PAUSE
        except (ServiceUnreachable, ServiceError, Unavailable) as error:
            click.echo(f"hashdb: {error}; the copy stays at event {sync.state.seq:,}", err=True)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _print_progress(sync: Sync, changes: int, *, quiet: bool = False) -> None:
    if changes or not quiet:
        many = "1 change" if changes == 1 else f"{changes:,} changes"
        click.echo(f"level with event {sync.state.seq:,}: {many}, {sync.count():,} contributions")
