"""hashdb audit: verify the log on the service's machine, or check from outside that it only grew."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashdb.cli.copy_checks import check_signals, copy_to_json, print_copy
from hashdb.cli.help import Group
from hashdb.cli.home import empty_log, open_home
from hashdb.cli.options import witness_policy, witnesses_option
from hashdb.cli.output import as_json, print_json, progress_bar, write_text
from hashdb.cli.receipts import cosigned_at, receipt_command, verify_receipt_command
from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.ledger.checkpoints import CheckpointComparison
from hashdb.domain.times import format_instant
from hashdb.errors import BadNote
from hashdb.member_settings import MemberSettings
from hashdb.settings import Settings

if TYPE_CHECKING:
    from hashdb.domain.ledger.policies import Cosigned
    from hashdb.service.ledger.verification import Finding, Verdict

_FAILED = 1


@click.group("audit", cls=Group, examples=("hashdb audit verify", "hashdb audit check --checkpoint kept.txt --save"))
def audit_command() -> None:
    """Verify the audit log.

    The operator runs `verify` on the service's machine. An auditor runs `check` on another machine, with a key of scope
    `audit`. Everyone who has a receipt verifies it with `verify-receipt`.
    """


audit_command.add_command(receipt_command)
audit_command.add_command(verify_receipt_command)


@audit_command.command("verify", examples=("hashdb audit verify", "hashdb audit verify --checkpoint kept.txt"))
@click.option(
    "--checkpoint",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of a checkpoint that was kept on another machine.",
)
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

    outside = None if file is None else _read_checkpoint(file, may_be_missing=False)
    with open_home(Settings.read()) as db:
        with db.store.read() as tx:
            bar, advance = progress_bar("verifying the log", tx.audit.head().seq)
        with bar:
            verdict = verify(db, COMMAND_LINE, advance, outside, signals=signals)
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
    return _FAILED if verdict.findings else 0


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
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the checkpoint that you kept. With --save it may not exist yet.",
)
@click.option("--save", is_flag=True, help="Write the new checkpoint to that file if the log only grew.")
@witnesses_option
@click.option("--signals", is_flag=True, help="Also check that the local copy is what the log has.")
@as_json
def check(file: Path, save: bool, witnesses_file: Path | None, signals: bool, as_json: bool) -> int:
    """Check from another machine that the audit log only grew.

    The command reads the current checkpoint from the service, and verifies by a consistency proof that the log still
    contains the checkpoint that you kept. It exits 1 if not.

    With a policy of witnesses, it also verifies that its quorum cosigned the log, but for events of the last ten
    minutes: then whoever requires these witnesses sees the same events as you.

    With --signals, it also checks the local copy of `hashdb sync`, for which the key needs the scope `feed`, too: the
    hashes in the copy are those that the log has committed to, and the copy has all contributions that match by the
    log, and no other. It names each contribution that differs, and exits 1.
    """
    kept = _read_checkpoint(file, save)
    policy = witness_policy(witnesses_file, MemberSettings.of_member())
    copy = None
    with Client.from_environment() as client:
        if signals:
            checked, copy = check_signals(client, partial(client.check, kept, policy))
        else:
            checked = client.check(kept, policy)
    if save:
        write_text(file, checked.note)
    if as_json:
        print_json(_check_to_json(checked, save) | ({} if copy is None else {"signals": copy_to_json(copy)}))
    else:
        _print_check(checked)
        if copy is not None:
            print_copy(copy)
    return _FAILED if copy is not None and copy.findings else 0


def _print_check(checked: CheckpointComparison) -> None:
    if checked.before is None:
        click.echo(f"the first checkpoint: {checked.now.size} events of {checked.now.origin}")
    else:
        click.echo(f"the log of {checked.now.origin} only grew: {checked.before.size} events, now {checked.now.size}")
    if checked.cosigned is not None:
        names = ", ".join(f"{key.name} at {cosigned_at(time)}" for key, time in checked.cosigned.signed.items())
        click.echo(f"the first {checked.cosigned.checkpoint.size} events are cosigned by {names or 'no witness'}")
    if checked.new_key:
        click.echo(
            f"the key that signs the log has changed since the kept checkpoint: it is now {checked.key}", err=True
        )


def _format_reach(verdict: Verdict) -> str:
    """What the verification proves, and what it does not."""
    if verdict.outside is None:
        return (
            "this proves that the database agrees with itself and with the checkpoints on this machine; a person who"
            " controls this machine can rebuild all of them: use --checkpoint with one that was kept elsewhere"
        )
    size, later = verdict.outside.size, verdict.size - verdict.outside.size
    age = datetime.now(UTC) - verdict.outside.at
    return (
        f"the checkpoint from outside proves events 1 to {size}, the last {age.days} days old; the {later} later"
        " events are proved only against people who do not control this machine"
    )


def _verdict_to_json(verdict: Verdict) -> dict[str, object]:
    findings = [_finding_to_json(finding) for finding in verdict.findings]
    return {
        "verified": not findings,
        "first_bad": verdict.findings[0].first if findings else None,
        "size": verdict.size,
        "root": base64.b64encode(verdict.root).decode(),
        "checkpoints": verdict.checkpoints,
        "findings": findings,
        "outside": _outside_to_json(verdict),
    }


def _outside_to_json(verdict: Verdict) -> dict[str, object] | None:
    kept = verdict.outside
    return None if kept is None else {"size": kept.size, "at": format_instant(kept.at)}


def _finding_to_json(finding: Finding) -> dict[str, object]:
    return {"first": finding.first, "last": finding.last, "reason": finding.reason}


def _check_to_json(checked: CheckpointComparison, saved: bool) -> dict[str, object]:
    return {
        "origin": checked.now.origin,
        "before": None if checked.before is None else checked.before.size,
        "size": checked.now.size,
        "root": base64.b64encode(checked.now.root).decode(),
        "key": str(checked.key),
        "new_key": checked.new_key,
        "saved": saved,
        "cosigned": None if checked.cosigned is None else _cosigned_to_json(checked.cosigned),
    }


def _cosigned_to_json(cosigned: Cosigned) -> dict[str, object]:
    witnesses = [{"name": key.name, "at": cosigned_at(time)} for key, time in cosigned.signed.items()]
    return {"size": cosigned.checkpoint.size, "witnesses": witnesses}


def _read_checkpoint(file: Path, may_be_missing: bool) -> str | None:
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
