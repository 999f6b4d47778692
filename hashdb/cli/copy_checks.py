"""The part of `hashdb audit check` that checks the local copy against the log."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from hashdb.cli.output import counted, progress_counter
from hashdb.client import Client
from hashdb.errors import CheckTooEarly, CopyBehind
from hashdb.member_settings import MemberSettings

if TYPE_CHECKING:
    from hashdb.domain.ledger.checkpoints import CheckpointComparison
    from hashdb.local.checking import CopyCheck

_PATIENCE: Final = 75.0
"""Seconds for the checkpoint to reach the newest root, and for whoever syncs the copy."""
_PAUSE: Final = 3.0


def check_signals(client: Client, check: Callable[[], CheckpointComparison]) -> tuple[CheckpointComparison, CopyCheck]:
    """Check the log by `check`, and the local copy against the checkpoint that it returns: the cosigned one, if any.

    Raises NoCopy, CheckTooEarly, CopyBehind, LogRewritten, and what the client raises.
    """
    from hashdb.index.folder import lock_folder
    from hashdb.local import LocalIndex
    from hashdb.local.checking import check_copy

    folder = MemberSettings.of_member().home / "local"
    until = time.monotonic() + _PATIENCE
    with LocalIndex(folder) as index:
        while True:
            checked, may_wait = check(), time.monotonic() < until
            tables, checkpoint = index.opened().tables, checked.cosigned.checkpoint if checked.cosigned else checked.now
            try:
                bar, advance = progress_counter("checking")
                with bar:
                    result = check_copy(tables, client, checkpoint, advance)
                # A sync that is under way may be in the middle of its changes.
                if not (result.findings and may_wait and tables.head().seq != result.seq):
                    return checked, result
            except CheckTooEarly as error:
                with lock_folder(folder) as is_free:
                    is_stale = is_free and isinstance(error, CopyBehind)
                if is_stale or not may_wait:
                    raise
            time.sleep(_PAUSE)


def print_copy(check: CopyCheck) -> None:
    """Print the result of a check of the copy."""
    root = f"the root of the active set in event {check.committed.seq}"
    if check.findings:
        for finding in check.findings:
            click.echo(f"contribution {finding.contribution}: {finding.reason}")
        message = "the local copy is not what the log has: report it to the operator and the other members"
        click.echo(f"hashdb: {message}", err=True)
        return
    click.echo(
        f"the local copy has what the log committed to: {counted(check.contributions, 'contribution')}"
        f" (event {check.seq}), held against {root}"
    )
    if without := check.contributions - check.with_commitment:
        click.echo(f"{counted(without, 'contribution')} without a commitment: the service makes it after an upgrade")
    if check.changed:
        click.echo(f"{counted(check.changed, 'contribution')} changed after that root, as the log proves")
    if check.unproven:
        click.echo(f"{counted(check.unproven, 'contribution')} changed after the checkpoint: a later check proves it")


def copy_to_json(check: CopyCheck) -> dict[str, object]:
    """The result of a check of the copy, as JSON."""
    committed = check.committed
    return {
        "verified": not check.findings,
        "checkpoint": check.seq,
        "contributions": check.contributions,
        "without_commitment": check.contributions - check.with_commitment,
        "seq": committed.seq,
        "covers": committed.covers,
        "root": base64.b64encode(committed.root).decode(),
        "changed": check.changed,
        "unproven": check.unproven,
        "findings": [{"contribution": each.contribution, "reason": each.reason} for each in check.findings],
    }
