"""hashdb webhook: manage the addresses to which the service pushes changes. hashdb sync: keep a local copy."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import NoReturn

import click

from hashdb.cli.help import Choice, Command, Group
from hashdb.cli.home import prepare_home
from hashdb.cli.options import TEXT, Id, policy_option, quorum_policy
from hashdb.cli.output import as_json, print_json, print_list, print_result, progress_counter
from hashdb.client import Client
from hashdb.domain.meanings import explain_all
from hashdb.domain.sharing.webhooks import (
    Delivery,
    DeliveryOutcome,
    IssuedWebhook,
    Topic,
    Webhook,
    WebhookChange,
    WebhookDraft,
)
from hashdb.errors import CheckTooEarly, RootNotSigned, ServiceError, ServiceUnreachable, Unavailable
from hashdb.local import LocalIndex, Sync, syncing
from hashdb.local.courier import delivering
from hashdb.local.lookback import LookBack
from hashdb.local.remembered import FOLDER as REMEMBERED
from hashdb.local.reports import Reports
from hashdb.member_settings import MemberSettings
from hashdb.wire.sharing.webhooks import DeliveriesOut, DeliveryOut, WebhookOut, WebhooksOut

_FAILED = 1
_PATIENCE = 30.0
_POLL = 0.2
_id = click.argument("webhook", type=Id("webhook"))
_delivery = click.argument("delivery", type=Id("delivery"))
_TOPICS = Choice(explain_all("topic"))
_OUTCOMES = explain_all("outcome")


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
@click.option("--outcome", type=Choice(_OUTCOMES), help="List only deliveries with this outcome.")
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
@_delivery
@as_json
def redeliver(webhook: int, delivery: int, as_json: bool) -> int:
    """Send a delivery again, and report whether it arrived.

    Exits 1 if it did not.
    """
    with Client.from_environment() as client:
        return _print_delivery(client, client.redeliver(webhook, delivery), as_json)


def _print_delivery(client: Client, delivery: Delivery, as_json: bool) -> int:
    """Wait for the first attempt, print its outcome, and return the exit status."""
    deadline = time.monotonic() + _PATIENCE
    while delivery.outcome is DeliveryOutcome.WAITING and not delivery.attempts and time.monotonic() < deadline:
        time.sleep(_POLL)
        delivery = client.delivery(delivery.webhook, delivery.id)
    if as_json:
        print_json(DeliveryOut.from_domain(delivery))
    elif delivery.outcome is DeliveryOutcome.DELIVERED:
        click.echo(f"delivery {delivery.id} arrived: {delivery.status} after {delivery.ms} ms")
    else:
        click.echo(f"delivery {delivery.id} did not arrive: {_format_answer(delivery) or 'still waiting'}", err=True)
    return 0 if delivery.outcome is DeliveryOutcome.DELIVERED else _FAILED


def _print_secret(issued: IssuedWebhook, as_json: bool) -> None:
    if as_json:
        print_json(WebhookOut.from_issued(issued))
        return
    click.echo(f"webhook {issued.webhook.id} reports {' and '.join(issued.webhook.topics)}")
    click.echo(f"secret (shown only once): {issued.secret}")


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


_WAIT = 20
"""Seconds that each request of `--follow` waits for a change."""
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_PATIENCE_FOR_SIGNATURES = 90
"""Seconds for the organisations of a policy to sign the newest root: a new one is made each minute, at most."""
_SAID_EVERY = 30.0
"""Seconds between two lines about a look-back that takes long."""


@click.command("sync", cls=Command, examples=("hashdb sync", "hashdb sync --follow", "hashdb sync --policy quorum.txt"))
@click.option("--follow", is_flag=True, help="Keep running, and apply each change within a second.")
@policy_option
@as_json
def sync_command(follow: bool, policy_file: Path | None, as_json: bool) -> None:
    """Update the local copy of the contributions.

    The command reads the changes since the last run. `hashdb match --local` uses the copy, also during a run.

    With a policy of organisations, it stores only what their quorum signed. They sign within a minute or two.

    If uploads are remembered, it looks back after each batch of changes: it reports which of them match now.
    """
    if follow and as_json:
        raise click.UsageError("--follow never ends, so it cannot print one JSON document: leave out --json")
    started_over: list[str] = []

    def say(message: str) -> None:
        started_over.append(message)
        click.echo(f"hashdb: {message}", err=True)

    settings = MemberSettings.of_member()
    policy = quorum_policy(policy_file, settings)
    prepare_home(settings.home)
    folder = settings.home / "local"
    with Client.from_environment() as client, syncing(folder, client, say=say, policy=policy) as sync:
        bar, advance = progress_counter("syncing")
        with bar:
            changes = sync.catch_up(progress=advance, patience=_PATIENCE_FOR_SIGNATURES)
        state, count = sync.state, sync.count()
        if as_json:
            message = {"checkpoint": state.seq, "epoch": state.epoch, "contributions": count, "changes": changes}
            print_json(message | {"started_over": bool(started_over)})
        else:
            _print_progress(sync, changes)
        with closing(LocalIndex(folder)) as index:
            look_back = _LookBack(index, folder / REMEMBERED, quiet=as_json)
            if follow:
                hook, secret = settings.remember_webhook, settings.remember_secret_file
                with delivering(folder / REMEMBERED, hook, secret, _warn):
                    _follow_feed(sync, look_back)
            while look_back.step():
                pass


def _warn(message: str) -> None:
    click.echo(f"hashdb: {message}", err=True)


class _LookBack:
    """Looks back over the uploads in a folder once there are any."""

    def __init__(self, index: LocalIndex, folder: Path, *, quiet: bool) -> None:
        self._index, self._folder, self._quiet = index, folder, quiet
        self._look_back: LookBack | None = None
        self._said = time.monotonic()

    def step(self) -> bool:
        """Look back for some seconds; return whether there is more to do."""
        if self._look_back is None:
            if not self._folder.is_dir():
                return False
            self._look_back = LookBack(self._index, Reports(self._folder))
        has_more, count = self._look_back.step()
        if count and not self._quiet:
            reports = "1 new report" if count == 1 else f"{count} new reports"
            click.echo(f"look-back: {reports} (hashdb remember matches)")
        if (walked := self._look_back.walked) and not self._quiet and time.monotonic() - self._said > _SAID_EVERY:
            self._said = time.monotonic()
            click.echo(f"look-back: {walked[0]} of {walked[1]} uploads were matched with what is new")
        return has_more


def _follow_feed(sync: Sync, look_back: _LookBack) -> NoReturn:
    pause, has_more = _PAUSE, look_back.step()
    again = begun = time.monotonic()
    while True:
        try:
            if not has_more or time.monotonic() >= again:
                begun = time.monotonic()
                _print_progress(sync, sync.catch_up(0 if has_more else _WAIT), quiet=True)
                pause = _PAUSE
        except (CheckTooEarly, RootNotSigned, ServiceUnreachable, ServiceError, Unavailable) as error:
            click.echo(
                f"hashdb: {error}; the local copy stays at event {sync.state.seq}; trying again",
                err=True,
            )
            # If there is more to look back for, that goes on meanwhile, as long as a service that hangs took.
            again = time.monotonic() + max(pause, time.monotonic() - begun)
            if not has_more:
                time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        # Also while the service is away: what expires is taken back.
        has_more = look_back.step()


def _print_progress(sync: Sync, changes: int, *, quiet: bool = False) -> None:
    if changes or not quiet:
        count = "1 change" if changes == 1 else f"{changes} changes"
        held = sync.count()
        contributions = "1 contribution" if held == 1 else f"{held} contributions"
        click.echo(f"up to date (event {sync.state.seq}): {count}, {contributions}")
