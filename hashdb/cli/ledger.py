"""hashdb audit: verify the log on the service's machine, or check from outside that it only grew."""

from __future__ import annotations

import base64
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashdb.cli.home import open_home
from hashdb.cli.output import as_json, print_json, progress_bar
from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.ledger.checkpoints import CheckpointComparison
from hashdb.domain.times import format_instant
from hashdb.errors import BadNote, BadSetting
from hashdb.settings import Settings

if TYPE_CHECKING:
    from hashdb.service.ledger.verification import Finding, Verdict

_FAILED = 1


@click.group("audit")
def audit_command() -> None:
    """Verify the audit log.

    Verify the log on the service's machine, or check it from outside.
    """


@audit_command.command("verify")
@click.option(
    "--checkpoint",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A checkpoint that was kept on another machine.",
)
@as_json
def verify_log(file: Path | None, as_json: bool) -> int:
    """Compute the log's tree anew from every row, and hold it against the stored tree and the signed checkpoints.

    Names the first event that was changed, removed, added or moved. Where there is none, holds the tables against what
    the events add up to, and names the first row of each kind that is not so. Exits 1 where anything does not hold.

    A person who holds the database, the signing key and the file of checkpoints can write another log that agrees with
    itself. Only a checkpoint that is kept on another machine shows this: name its file with --checkpoint.
    """
    from hashdb.service.ledger.verification import verify

    outside = None if file is None else _read_checkpoint(file, may_be_missing=False)
    with open_home(Settings.read()) as db:
        with db.store.read() as tx:
            bar, advance = progress_bar("verifying the log", tx.audit.head().seq)
        with bar:
            verdict = verify(db, COMMAND_LINE, advance, outside)
    if not (verdict.size or verdict.checkpoints or verdict.findings):
        # Probably another home than the service's: an empty log proves nothing.
        raise BadSetting("HASHDB_HOME", "its log is empty (or HASHDB_DATABASE_URL's): name what the service uses")
    if as_json:
        print_json(_verdict_to_json(verdict))
    elif verdict.findings:
        for finding in verdict.findings:
            click.echo(str(finding))
    else:
        verified = f"{verdict.size:,} events and {verdict.checkpoints:,} signed checkpoints"
        click.echo(f"{verified}: nothing was rewritten, and the tables agree")
        click.echo(_format_reach(verdict))
    return _FAILED if verdict.findings else 0


@audit_command.command("check")
@click.option(
    "--checkpoint",
    "file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The checkpoint that you kept; with --save it need not be there yet.",
)
@click.option("--save", is_flag=True, help="Keep the new checkpoint in that file, where the log only grew.")
@as_json
def check(file: Path, save: bool, as_json: bool) -> None:
    """Prove from outside, with a checkpoint that you kept, that the log only grew since. Exits 1 where it did not."""
    kept = _read_checkpoint(file, save)
    with Client.from_environment() as client:
        checked = client.check(kept)
    if save:
        _write_checkpoint(file, checked.note)
    if as_json:
        print_json(_check_to_json(checked, save))
        return
    if checked.before is None:
        click.echo(f"the first checkpoint: {checked.now.size:,} events of {checked.now.origin}")
    else:
        click.echo(
            f"the log of {checked.now.origin} only grew: {checked.before.size:,} events, now {checked.now.size:,}"
        )
    if checked.new_key:
        click.echo(f"it is signed by another key than the checkpoint that was kept: {checked.key}", err=True)


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
        f"the checkpoint from outside proves events 1 to {size:,}, the last {age.days:,} days old; the {later:,} later"
        " events are proved only against who does not control this machine"
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
        raise BadNote(f"there is no {file}: keep a first checkpoint with hashdb audit check --save") from None
    except (OSError, UnicodeDecodeError):
        raise BadNote(f"{file} cannot be read as a checkpoint") from None


def _write_checkpoint(file: Path, note: str) -> None:
    """Replace the file of the checkpoint atomically: after a crash, it holds the old one or the new one."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as temporary:
            temporary.write(note)
        Path(name).replace(file)
    except OSError as error:
        raise BadNote(f"{file} cannot be written: {(error.strerror or 'unknown error').lower()}") from None
