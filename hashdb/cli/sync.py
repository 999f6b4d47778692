"""hashdb sync: keep a local copy of the contributions, and look back for remembered uploads."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NoReturn

import click

from hashdb.cli.help import Command
from hashdb.cli.home import prepare_home
from hashdb.cli.options import organisation_policy, policy_option
from hashdb.cli.output import as_json, counted, print_json, progress_bar
from hashdb.client import Client
from hashdb.errors import CheckTooEarly, LimitReached, RootNotSigned, ServiceError, ServiceUnreachable, Unavailable
from hashdb.local import LocalIndex, Sync, syncing
from hashdb.local.dispatcher import delivering
from hashdb.local.lookback import LookBack
from hashdb.local.reports import Reports
from hashdb.member_settings import MemberSettings

_WAIT_SECONDS = 20
"""How long each request of `--follow` waits for a change."""
_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
"""Seconds from a failed attempt to the next one: it doubles with each further failure, up to the longest pause."""
_PATIENCE_FOR_SIGNATURES = 90
"""Seconds for the organisations of a policy to sign the newest root: a new one is made each minute, at most."""
_PRINTED_EVERY = 30.0
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

    def notify(message: str) -> None:
        started_over.append(message)
        _warn(message)

    settings = MemberSettings.of_member()
    policy = organisation_policy(policy_file, settings)
    prepare_home(settings.home)
    folder = settings.copy_folder
    with Client.from_environment() as client, syncing(folder, client, notify=notify, policy=policy) as sync:
        with progress_bar("syncing") as advance:
            changes = sync.catch_up(progress=advance, patience=_PATIENCE_FOR_SIGNATURES)
        state, count = sync.state, sync.count()
        if as_json:
            message = {"checkpoint": state.seq, "epoch": state.epoch, "contributions": count, "changes": changes}
            print_json(message | {"started_over": bool(started_over)})
        else:
            _print_progress(sync, changes)
        with LocalIndex(folder) as index:
            look_back = _LazyLookBack(index, quiet=as_json)
            if follow:
                webhook, secret = settings.remember_webhook, settings.remember_secret_file
                with delivering(index.remembered.folder, webhook, secret, _warn):
                    _follow_feed(sync, look_back)
            while look_back.step():
                pass


def _warn(message: str) -> None:
    click.echo(f"hashdb: {message}", err=True)


class _LazyLookBack:
    """Looks back over the remembered uploads once there are any."""

    def __init__(self, index: LocalIndex, *, quiet: bool) -> None:
        self._index, self._quiet = index, quiet
        self._look_back: LookBack | None = None
        self._printed_at = time.monotonic()

    def step(self) -> bool:
        """Look back for some seconds; return whether there is more to do."""
        if self._look_back is None:
            folder = self._index.remembered.folder
            if not folder.is_dir():
                return False
            self._look_back = LookBack(self._index, Reports(folder))
        has_more, count = self._look_back.step()
        if count and not self._quiet:
            click.echo(f"look-back: {counted(count, 'new report')} (hashdb remember matches)")
        is_due = not self._quiet and time.monotonic() - self._printed_at > _PRINTED_EVERY
        if (walked := self._look_back.walked) and is_due:
            self._printed_at = time.monotonic()
            done, total = walked
            click.echo(f"look-back: {done} of {total} uploads were matched with what is new")
        return has_more


def _follow_feed(sync: Sync, look_back: _LazyLookBack) -> NoReturn:
    pause, has_more = _PAUSE, look_back.step()
    next_attempt = begun = time.monotonic()
    while True:
        try:
            if not has_more or time.monotonic() >= next_attempt:
                begun = time.monotonic()
                _print_progress(sync, sync.catch_up(wait=0 if has_more else _WAIT_SECONDS), quiet=True)
                pause = _PAUSE
        except (CheckTooEarly, LimitReached, RootNotSigned, ServiceUnreachable, ServiceError, Unavailable) as error:
            _warn(f"{error}; the local copy stays at event {sync.state.seq}; trying again")
            # Look-back goes on meanwhile, if there is more: at least for as long as the failed attempt took.
            next_attempt = time.monotonic() + max(pause, time.monotonic() - begun)
            if not has_more:
                time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        # Also while the service is away: matches of contributions that expire are taken back.
        has_more = look_back.step()


def _print_progress(sync: Sync, changes: int, *, quiet: bool = False) -> None:
    if changes or not quiet:
        counts = f"{counted(changes, 'change')}, {counted(sync.count(), 'contribution')}"
        click.echo(f"up to date (event {sync.state.seq}): {counts}")
