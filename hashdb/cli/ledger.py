"""hashdb audit: verify the log on the service's machine, or check from outside that it only grew."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from hashdb.cli.help import Group
from hashdb.cli.home import empty_log, open_home
from hashdb.cli.options import FILE, witness_policy, witnesses_option
from hashdb.cli.output import as_json, counted, print_json, progress_bar, write_text
from hashdb.cli.receipts import format_witnesses, receipt_command, verify_receipt_command, witnesses_to_json
from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.ledger.checkpoints import CheckpointComparison
from hashdb.domain.times import format_instant
from hashdb.errors import BadNote, CheckTooEarly, CopyBehind
from hashdb.member_settings import MemberSettings

if TYPE_CHECKING:
    from hashdb.local.checking import CopyCheck
    from hashdb.service.ledger.verification import Verdict

_PATIENCE_SECONDS: Final = 75.0
"""How long to repeat a check that came too early.

The checkpoint does not cover the newest root of the active set yet, or the copy is not synced up to that root.
"""
_PAUSE_SECONDS: Final = 3.0
"""From one attempt to the next."""


@click.group("audit", cls=Group, examples=("hashdb audit verify", "hashdb audit check --checkpoint kept.txt --save"))
def audit_command() -> None:
    """Verify the audit log.

    The operator runs `verify` on the service's machine. An auditor runs `check` on another machine, with a key of scope
    `audit`. Everyone who has a receipt verifies it with `verify-receipt`.
    """


audit_command.add_command(receipt_command)
audit_command.add_command(verify_receipt_command)


@audit_command.command("verify", examples=("hashdb audit verify", "hashdb audit verify --checkpoint kept.txt"))
@click.option("--checkpoint", "file", type=FILE, help="File of a checkpoint that was kept on another machine.")
@click.option("--signals", is_flag=True, help="Also compare all signals with their commitments; this takes longer.")
@as_json
def verify_log(file: Path | None, signals: bool, as_json: bool) -> int:
    """Verify the whole audit log in the database.

    The command computes the log's tree again from every row, and compares it with the stored tree and the signed
    checkpoints. It reports the first event that was changed, removed, added or moved. If there is none, it compares the
    tables with the events, and reports the first row of each kind that differs. It exits 1 if it finds anything.

    A person who has the database, the signing key and the file of checkpoints can write another log that is consistent.
    Only a checkpoint that was kept on another machine reveals this: pass its file with --checkpoint.
    """
    from hashdb.service.ledger.verification import verify

    kept = None if file is None else _read_checkpoint(file, may_be_missing=False)
    with open_home() as db, progress_bar("verifying the log", db.store.head().seq) as advance:
        verdict = verify(db, COMMAND_LINE, advance, kept, signals=signals)
    if not (verdict.size or verdict.checkpoints or verdict.findings):
        raise empty_log()
    if as_json:
        print_json(_verdict_to_json(verdict))
    elif verdict.findings:
        for finding in verdict.findings:
            click.echo(str(finding))
    else:
        verified = f"{verdict.size} events and {verdict.checkpoints} signed checkpoints"
        agrees = "the tables and all signals agree" if signals else "the tables agree"
        click.echo(f"{verified}: nothing was rewritten, and {agrees}")
        click.echo(_format_reach(verdict))
    return 1 if verdict.findings else 0


@audit_command.command(
    "check",
    examples=(
        "hashdb audit check --checkpoint kept.txt --save",
        "hashdb audit check --checkpoint kept.txt --save --witnesses policy.txt",
        "hashdb audit check --checkpoint kept.txt --save --signals",
    ),
)
@click.option(
    "--checkpoint",
    "file",
    required=True,
    type=FILE,
    help="File of the checkpoint that you kept. With --save it may not exist yet.",
)
@click.option("--save", is_flag=True, help="Write the new checkpoint to that file if the log only grew.")
@witnesses_option
@click.option("--signals", is_flag=True, help="Also check that the local copy matches the log.")
@as_json
def check(file: Path, save: bool, witnesses_file: Path | None, signals: bool, as_json: bool) -> int:
    """Check from another machine that the audit log only grew.

    The command reads the current checkpoint from the service, and verifies by a consistency proof that the log still
    contains the checkpoint that you kept. It exits 1 if not.

    With a policy of witnesses, it also verifies that its quorum cosigned the log, except for events of the last ten
    minutes: then everyone who requires these witnesses sees the same events.

    With --signals, it also checks the local copy of `hashdb sync`. For this the key needs the scope `feed`, too. The
    hashes in the copy must match the commitments in the log, and the copy must have exactly the contributions that
    match by the log. The command names each contribution that differs, and exits 1.
    """
    kept = _read_checkpoint(file, may_be_missing=save)
    settings = MemberSettings.of_member()
    policy, copy = witness_policy(witnesses_file, settings), None
    with Client.from_environment() as client:
        if signals:
            checked, copy = _check_signals(settings.copy_folder, client, partial(client.check, kept, policy))
        else:
            checked = client.check(kept, policy)
    if save:
        write_text(file, checked.note)
    if as_json:
        print_json(_check_to_json(checked, saved=save) | ({} if copy is None else {"signals": _copy_to_json(copy)}))
    else:
        _print_check(checked)
        if copy is not None:
            _print_copy(copy)
    return 1 if copy is not None and copy.findings else 0


def _check_signals(
    folder: Path, client: Client, check: Callable[[], CheckpointComparison]
) -> tuple[CheckpointComparison, CopyCheck]:
    """Check the log by `check`, and the copy in a folder against the checkpoint that it returns, cosigned if possible.

    Both are repeated for a while if a difference may come only from the copy and the checkpoint being of different
    times.

    Raises NoCopy, CheckTooEarly (CopyBehind is one), LogRewritten, and what the client raises.
    """
    from hashdb.index.folder import lock_folder
    from hashdb.local import LocalIndex
    from hashdb.local.checking import check_copy

    deadline = time.monotonic() + _PATIENCE_SECONDS
    with LocalIndex(folder) as index:
        while True:
            checked, may_wait = check(), time.monotonic() < deadline
            tables, checkpoint = index.opened().tables, checked.cosigned.checkpoint if checked.cosigned else checked.now
            try:
                with progress_bar("checking") as advance:
                    result = check_copy(tables, client, checkpoint, advance)
                # A sync stored changes during the check: it may have been in the middle of them.
                copy_moved = tables.head().seq != result.seq
                if not (result.findings and copy_moved and may_wait):
                    return checked, result
            except CheckTooEarly as error:
                # If no process syncs the copy, it stays behind, and waiting is of no use.
                with lock_folder(folder) as is_free:
                    is_stale = is_free and isinstance(error, CopyBehind)
                if is_stale or not may_wait:
                    raise
            time.sleep(_PAUSE_SECONDS)


def _print_copy(check: CopyCheck) -> None:
    """Print the result of a check of the copy."""
    if check.findings:
        for finding in check.findings:
            click.echo(f"contribution {finding.contribution}: {finding.reason}")
        message = "the local copy does not match the log: report it to the operator and the other members"
        click.echo(f"hashdb: {message}", err=True)
        return
    click.echo(
        f"the local copy matches the log: {counted(check.contributions, 'contribution')}"
        f" (event {check.seq}), compared with the root of the active set in event {check.committed.seq}"
    )
    if without := check.contributions - check.with_commitment:
        click.echo(f"{counted(without, 'contribution')} without a commitment: the service makes it after an upgrade")
    if check.changed:
        click.echo(f"{counted(check.changed, 'contribution')} changed after that root, as the log proves")
    if check.unproven:
        click.echo(f"{counted(check.unproven, 'contribution')} changed after the checkpoint: a later check proves it")


def _copy_to_json(check: CopyCheck) -> dict[str, object]:
    """The result of a check of the copy, as JSON.

    `checkpoint`: the seq up to which the copy has everything; `seq`: the event that records the root of the active
    set; `covers`: the event after which the set had this root; `changed`, `unproven`: how many contributions differ
    because they changed after the root, or after the verified checkpoint.
    """
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
        "findings": list(map(asdict, check.findings)),
    }


def _print_check(checked: CheckpointComparison) -> None:
    if checked.before is None:
        click.echo(f"the first checkpoint: {checked.now.size} events of {checked.now.origin}")
    else:
        click.echo(f"the log of {checked.now.origin} only grew: {checked.before.size} events, now {checked.now.size}")
    if checked.cosigned is not None:
        names = format_witnesses(checked.cosigned.signed) or "no witness"
        click.echo(f"the first {checked.cosigned.checkpoint.size} events are cosigned by {names}")
    if checked.new_key:
        click.echo(
            f"the key that signs the log has changed since the kept checkpoint: it is now {checked.key}", err=True
        )


def _format_reach(verdict: Verdict) -> str:
    """What the verification proves, and what it does not."""
    if verdict.kept is None:
        return (
            "this proves that the database agrees with itself and with the checkpoints on this machine; a person who"
            " controls this machine can rebuild all of them: use --checkpoint with one that was kept elsewhere"
        )
    size, later = verdict.kept.size, verdict.size - verdict.kept.size
    age = datetime.now(UTC) - verdict.kept.at
    return (
        f"the checkpoint from outside proves events 1 to {size}; the newest of them is {counted(age.days, 'day')} old;"
        f" {counted(later, 'later event')} {'is' if later == 1 else 'are'} proved only against people who do not"
        " control this machine"
    )


def _verdict_to_json(verdict: Verdict) -> dict[str, object]:
    kept, findings = verdict.kept, verdict.findings
    # Null as well if the finding concerns no particular event.
    first_bad_seq = findings[0].first if findings else None
    return {
        "verified": not findings,
        "first_bad": first_bad_seq,
        "size": verdict.size,
        "root": base64.b64encode(verdict.root).decode(),
        "checkpoints": verdict.checkpoints,
        "findings": list(map(asdict, findings)),
        "outside": None if kept is None else {"size": kept.size, "at": format_instant(kept.at)},
    }


def _check_to_json(checked: CheckpointComparison, *, saved: bool) -> dict[str, object]:
    cosigned = checked.cosigned
    return {
        "origin": checked.now.origin,
        "before": None if checked.before is None else checked.before.size,
        "size": checked.now.size,
        "root": base64.b64encode(checked.now.root).decode(),
        "key": str(checked.key),
        "new_key": checked.new_key,
        "saved": saved,
        "cosigned": None
        if cosigned is None
        else {"size": cosigned.checkpoint.size, "witnesses": witnesses_to_json(cosigned.signed)},
    }


def _read_checkpoint(file: Path, *, may_be_missing: bool) -> str | None:
    """The note in a file; None if there is no file and it `may_be_missing`. Raises BadNote."""
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        if may_be_missing:
            return None
        raise BadNote(
            f"{file} does not exist: write a first checkpoint with `hashdb audit check --checkpoint {file} --save`"
        ) from None
    except (OSError, UnicodeDecodeError):
        raise BadNote(f"{file} is not a readable checkpoint") from None
