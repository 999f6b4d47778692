"""hashdb audit: verify the log on the service's machine, or check from outside that it only grew."""

from __future__ import annotations

import base64
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashdb.cli.help import Group
from hashdb.cli.home import empty_log, open_home
from hashdb.cli.output import as_json, print_json, progress_bar
from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.ledger.checkpoints import CheckpointComparison
from hashdb.domain.times import format_instant
from hashdb.errors import BadNote
from hashdb.settings import Settings

if TYPE_CHECKING:
    from hashdb.service.ledger.verification import Finding, Verdict

_FAILED = 1


@click.group("audit", cls=Group, examples=("hashdb audit verify", "hashdb audit check --checkpoint kept.txt --save"))
def audit_command() -> None:
    """Verify the audit log.

    The operator runs `verify` on the service's machine. An auditor runs `check` on another machine, with a key of scope
    `audit`.
    """


@audit_command.command("verify", examples=("hashdb audit verify", "hashdb audit verify --checkpoint kept.txt"))
@click.option(
    "--checkpoint",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of a checkpoint that was kept on another machine.",
)
@as_json
def verify_log(file: Path | None, as_json: bool) -> int:
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
            verdict = verify(db, COMMAND_LINE, advance, outside)
    if not (verdict.size or verdict.checkpoints or verdict.findings):
        raise empty_log()
    if as_json:
        print_json(_verdict_to_json(verdict))
    elif verdict.findings:
        for finding in verdict.findings:
            click.echo(str(finding))
    else:
        verified = f"{verdict.size} events and {verdict.checkpoints} signed checkpoints"
        click.echo(f"{verified}: nothing was rewritten, and the tables agree")
        click.echo(_format_reach(verdict))
    return _FAILED if verdict.findings else 0


@audit_command.command("check", examples=("hashdb audit check --checkpoint kept.txt --save",))
@click.option(
    "--checkpoint",
    "file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the checkpoint that you kept. With --save it may not exist yet.",
)
@click.option("--save", is_flag=True, help="Write the new checkpoint to that file if the log only grew.")
@as_json
def check(file: Path, save: bool, as_json: bool) -> None:
    """Check from another machine that the audit log only grew.

    The command reads the current checkpoint from the service, and verifies by a consistency proof that the log still
    contains the checkpoint that you kept. It exits 1 if not.
    """
    kept = _read_checkpoint(file, save)
    with Client.from_environment() as client:
        checked = client.check(kept)
    if save:
        _write_checkpoint(file, checked.note)
    if as_json:
        print_json(_check_to_json(checked, save))
        return
    if checked.before is None:
        click.echo(f"the first checkpoint: {checked.now.size} events of {checked.now.origin}")
    else:
        click.echo(f"the log of {checked.now.origin} only grew: {checked.before.size} events, now {checked.now.size}")
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
    }


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


def _write_checkpoint(file: Path, note: str) -> None:
    """Replace the file of the checkpoint atomically: after a crash, it holds the old one or the new one."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as temporary:
            temporary.write(note)
        Path(name).replace(file)
    except OSError as error:
        raise BadNote(f"{file} cannot be written: {(error.strerror or 'unknown error').lower()}") from None
