"""hashdb monitor: what a member leaves running, so that the operator cannot change the list unseen."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from hashdb.cli.help import Command
from hashdb.cli.home import prepare_home
from hashdb.cli.options import (
    FILE,
    FOLDER,
    TEXT,
    organisation_policy,
    policy_option,
    read_cosigner,
    witness_policy,
    witnesses_option,
)
from hashdb.cli.output import as_json, counted, escape_controls, print_json
from hashdb.client import Client
from hashdb.domain.times import format_instant
from hashdb.errors import (
    BadSetting,
    HashDBError,
    HomeInUse,
    LimitReached,
    ServiceError,
    ServiceUnreachable,
    Unavailable,
)
from hashdb.index.folder import lock_folder, restrict_access
from hashdb.local.syncing import system_clock
from hashdb.member_settings import MemberSettings
from hashdb.monitor.alarms import Alarm, AlarmKind, Reporter
from hashdb.monitor.monitor import CheckTooLongError, Monitor, MonitorPlan, MonitorState

if TYPE_CHECKING:
    from hashdb.domain.ledger.cosignatures import Cosigner
    from hashdb.domain.ledger.policies import Policy

_NO_ANSWER_AFTER = timedelta(minutes=5)
"""How long no check may be possible before this is an alarm."""
_FIRST_CHECK, _LATER_CHECK = timedelta(hours=12), timedelta(minutes=5)
"""How long a check may take before it is stopped. The first one of a process may read the whole log."""
_TRANSIENT = (ServiceUnreachable, ServiceError, Unavailable, LimitReached, CheckTooLongError)
"""Errors after which even the first check is tried again. Any other error of it means a wrong setup."""
_CHECK_AGAIN_SECONDS, _MOST_CHECKS = 2.0, 40
"""The time between the checks of `--once`, and how many there are at most: later events may explain a difference."""


@click.command(
    "monitor",
    cls=Command,
    examples=(
        "hashdb monitor --witnesses witnesses.txt",
        "hashdb monitor --once",
        "hashdb monitor --webhook https://alerts.example/hashdb --policy organisations.txt --sign ours.key",
    ),
)
@witnesses_option
@policy_option
@click.option(
    "--sign", type=FILE, help="Key file with which your organisation signs the active set, if all checks pass."
)
@click.option("--webhook", type=TEXT, help="Address to post alarms to, instead of exiting.")
@click.option("--folder", type=FOLDER, help="Where the state and evidence are kept.")
@click.option(
    "--every", default=10, show_default=True, type=click.IntRange(1, 3_600), help="Seconds from one check to the next."
)
@click.option(
    "--late",
    default=90,
    show_default=True,
    type=click.IntRange(10, 86_400),
    help="Seconds after which an event must be cosigned and in a signed root.",
)
@click.option("--once", is_flag=True, help="Check everything once, all contributions included, and end.")
@as_json
def monitor_command(
    witnesses_file: Path | None,
    policy_file: Path | None,
    sign: Path | None,
    webhook: str | None,
    folder: Path | None,
    every: int,
    late: int,
    once: bool,
    as_json: bool,
) -> int:
    """Watch the service's log, feed and witnesses, and raise an alarm.

    It needs a key with the scopes `audit` and `feed`. It replays the events of the log, and compares with them the
    signed and cosigned checkpoints, the feed, the roots of the active set and, in rounds, every contribution.

    If a check fails, it keeps the evidence, says what to do, and exits with 1. With --webhook, it posts each alarm as
    JSON instead, once a day while it lasts, and continues.
    """
    if as_json and not once:
        raise click.UsageError("--json prints one document: it needs --once")
    if once and webhook is not None:
        raise click.UsageError("give either --once or --webhook, not both: --once exits with 1 at an alarm")
    settings = MemberSettings.of_member()
    organisations = organisation_policy(policy_file, settings)
    plan = MonitorPlan(
        witnesses=witness_policy(witnesses_file, settings),
        organisations=organisations,
        signer=None if sign is None else _read_signer(sign, organisations),
        late_after=timedelta(seconds=late),
        round_period=timedelta(seconds=2 * every),
        reading_seconds=every / 4,
    )
    folder = folder or settings.home / "monitor"
    prepare_home(settings.home)
    with _monitoring(folder, plan) as monitor, closing(Reporter(folder / "evidence", webhook)) as reporter:
        if once:
            return _check_once(monitor, reporter, as_json)
        return _watch(monitor, reporter, every, goes_on=webhook is not None)


@contextmanager
def _monitoring(folder: Path, plan: MonitorPlan) -> Iterator[Monitor]:
    with lock_folder(folder) as acquired:
        if not acquired:
            raise HomeInUse(str(folder))
        restrict_access(folder)
        with Client.from_environment() as client, closing(Monitor(folder, client, plan, system_clock)) as monitor:
            yield monitor


def _check_once(monitor: Monitor, reporter: Reporter, as_json: bool) -> int:
    """Check until each difference is explained or raises an alarm. Print the result, and return the exit status."""
    alarms = monitor.check(whole=True)
    for _ in range(_MOST_CHECKS):
        if alarms or monitor.is_settled:
            break
        time.sleep(_CHECK_AGAIN_SECONDS)
        alarms = monitor.check()
    if not alarms and not monitor.is_settled:
        what = "contributions differed from the log at every check, and changed before they could be judged"
        alarms = [Alarm(AlarmKind.CONTRIBUTION_ALTERED, what)]
    now = system_clock()
    evidence = [str(folder) for _, folder, _ in reporter.report(alarms, now)]
    if as_json:
        listed = [alarm.to_json(now) | {"evidence": path} for alarm, path in zip(alarms, evidence, strict=True)]
        print_json({"held": not alarms, "alarms": listed} | _state_to_json(monitor.state))
    else:
        for alarm, path in zip(alarms, evidence, strict=True):
            _print_alarm(alarm, path)
        if not alarms:
            click.echo(_format_state(monitor.state))
    return 1 if alarms else 0


def _watch(monitor: Monitor, reporter: Reporter, every: int, *, goes_on: bool) -> int:
    """Check every `every` seconds. Unless it `goes_on` after alarms, return the exit status at the first one."""
    answered_at, printed_size, limit = system_clock(), 0, _FIRST_CHECK
    if not monitor.state.size:
        click.echo("hashdb: the first check reads the whole log and the whole feed", err=True)
    while True:
        begun = time.monotonic()
        try:
            with _cut_after(limit):
                alarms = monitor.check()
            answered_at, limit = system_clock(), _LATER_CHECK
        except (HashDBError, CheckTooLongError) as error:
            # No answer of the service may end the monitor: otherwise the operator could stop it by a wrong answer.
            if isinstance(error, BadSetting) or (limit is _FIRST_CHECK and not isinstance(error, _TRANSIENT)):
                raise
            click.echo(f"hashdb: {escape_controls(str(error))}; trying again", err=True)
            is_silent = system_clock() - answered_at > _NO_ANSWER_AFTER
            alarm = Alarm(AlarmKind.NO_ANSWER, f"no check was possible: {error}", since=answered_at)
            alarms = [alarm] if is_silent else []
        else:
            state = monitor.state
            if not alarms and state.size != printed_size:
                printed_size = state.size
                click.echo(_format_state(state))
        for alarm, evidence, failure in reporter.report(alarms, system_clock()):
            _print_alarm(alarm, str(evidence))
            if failure is not None:
                click.echo(f"hashdb: {failure}", err=True)
        if alarms and not goes_on:
            return 1
        time.sleep(max(0.0, every - (time.monotonic() - begun)))


@contextmanager
def _cut_after(limit: timedelta) -> Iterator[None]:
    """Raise CheckTooLongError in the block if it lasts longer than `limit`, also while it waits for something."""

    def cut(_: int, __: FrameType | None) -> None:
        raise CheckTooLongError(limit)

    before = signal.signal(signal.SIGALRM, cut)
    signal.setitimer(signal.ITIMER_REAL, limit.total_seconds())
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _print_alarm(alarm: Alarm, evidence: str) -> None:
    click.echo(f"ALARM: {escape_controls(str(alarm))}")
    click.echo(f"evidence: {evidence}")


def _format_state(state: MonitorState) -> str:
    root = f"root of event {state.root_seq}" if state.root_seq else "no root yet"
    round_text = (
        f"all contributions verified at {format_instant(state.clean_round_began)}"
        if state.clean_round_began
        else "the first round over all contributions is not complete"
    )
    without = f", {state.uncommitted} without a commitment" if state.uncommitted else ""
    return (
        f"verified up to event {state.size}: {counted(state.count, 'contribution')} in the active set{without}"
        f" ({root}); {round_text}"
    )


def _state_to_json(state: MonitorState) -> dict[str, object]:
    return {
        "size": state.size,
        "contributions": state.count,
        "uncommitted": state.uncommitted,
        "root_seq": state.root_seq,
        "round_held": None if state.clean_round_began is None else format_instant(state.clean_round_began),
    }


def _read_signer(file: Path, policy: Policy | None) -> Cosigner:
    signer = read_cosigner("--sign", file)
    if policy is not None and signer.key not in policy.keys:
        raise BadSetting("--sign", f"{file}: the policy of organisations does not have this key")
    return signer
