"""hashdb audit receipt and verify-receipt: a proof that the log has an event, which verifies without the service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashdb.cli.help import Command
from hashdb.cli.options import FILE, TEXT, Id, witness_policy, witnesses_option
from hashdb.cli.output import as_json, escape_controls, print_json, write_text
from hashdb.client import Client
from hashdb.domain.times import format_instant
from hashdb.errors import BadNote, BadReceipt, BadSetting, os_reason
from hashdb.member_settings import MemberSettings

if TYPE_CHECKING:
    from hashdb.domain.ledger.cosignatures import WitnessKey
    from hashdb.domain.ledger.notes import Verifier
    from hashdb.domain.ledger.policies import Policy
    from hashdb.domain.ledger.receipts import ProvedEvent

_MOST_BYTES = 1_000_000
"""The most bytes that are read of a file."""
_LAST_SECOND = 253_402_300_799
"""The last second, since 1970, that Python can write as a time: the end of the year 9999."""


@click.command(
    "receipt",
    cls=Command,
    examples=(
        "hashdb audit receipt 17 --out 17.tlog-proof",
        "hashdb audit receipt 17 --action contribution.withdrawn --out withdrawn.tlog-proof",
        "hashdb audit receipt --case 5 --action case.decided",
    ),
)
@click.argument("contribution", required=False, type=Id("contribution"))
@click.option("--case", "case", type=Id("case"), help="Receipt of an event on a case.")
@click.option("--opinion", "opinion", type=Id("opinion"), help="Receipt of an opinion that you gave.")
@click.option("--seq", type=click.IntRange(min=1), help="Receipt of the event with this seq.")
@click.option("--action", type=TEXT, help="Action of the event. By default the last event on the contribution.")
@witnesses_option
@click.option("--out", "out", type=FILE, help="File to write.  [default: stdout]")
@as_json
def receipt_command(
    contribution: int | None,
    case: int | None,
    opinion: int | None,
    seq: int | None,
    action: str | None,
    witnesses_file: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Get the receipt of an event: a file that proves that the log has it.

    The file has the event, the proof that it is in the log, and a signed checkpoint, as C2SP's tlog-proof. Keep it: it
    verifies without the service (`hashdb audit verify-receipt`). With the scope `audit` you get the receipt of any
    event; else of those on your contributions, of your opinions, and of the cases on your contributions.

    It has the ids of those who acted, as the log has them, and no hash of content.
    """
    from hashdb.domain.ledger.receipts import Receipt

    given = {"contribution": contribution, "case": case, "opinion": opinion}
    subjects = [(kind, id) for kind, id in given.items() if id is not None]
    if len(subjects) + (seq is not None) != 1:
        raise click.UsageError("give one of CONTRIBUTION, --case, --opinion and --seq")
    if action is not None and seq is not None:
        raise click.UsageError("give either --seq or --action, not both")
    policy, subject = witness_policy(witnesses_file, MemberSettings.of_member()), subjects[0] if subjects else None
    with Client.from_environment() as client:
        text = client.receipt(seq, subject=subject, action=action, witnessed=bool(policy and policy.min_witnesses))
        logs = client.log().verifiers
    applied = policy or _no_witnesses()
    proved = Receipt.parse(text).verify(applied, logs)
    _require_requested(json.loads(proved.event), seq, subject, action)
    if out is not None:
        write_text(out, text)
    if as_json:
        print_json(_to_json(proved, applied) | {"receipt": text})
    elif out is None:
        click.echo(text, nl=False)
    else:
        click.echo(f"{out}: {_describe_event(json.loads(proved.event))}")


def _require_requested(
    event: Mapping[str, object], seq: int | None, subject: tuple[str, int] | None, action: str | None
) -> None:
    """Raise BadReceipt for the receipt of another event than the one that was requested."""
    requested = {"seq": seq, "subject": subject and f"{subject[0]}:{subject[1]}", "action": action}
    if any(value not in (None, event.get(name)) for name, value in requested.items()):
        raise BadReceipt("the service answered with the receipt of another event")


@click.command(
    "verify-receipt",
    cls=Command,
    examples=(
        "hashdb audit verify-receipt 17.tlog-proof --witnesses policy.txt",
        "hashdb audit verify-receipt 17.tlog-proof --log hashes.example/log+1b9e…",
    ),
)
@click.argument("file", type=FILE)
@witnesses_option
@click.option("--log", "keys", multiple=True, type=TEXT, help="Key of the log (vkey). By default those of the policy.")
@as_json
def verify_receipt_command(file: Path, witnesses_file: Path | None, keys: tuple[str, ...], as_json: bool) -> None:
    """Verify a receipt, without the service and without a network.

    It needs a key of the log that you got from elsewhere: the operator publishes it, and `GET /v1/log` returns it.
    The command exits 1 if the receipt does not prove its event, or too few witnesses of the policy cosigned it.
    """
    from hashdb.domain.ledger.receipts import Receipt

    receipt = Receipt.parse(_read_receipt(file))
    policy, logs = witness_policy(witnesses_file, MemberSettings.of_member()), list(map(_log_key, keys))
    if not logs and (policy is None or not policy.logs):
        raise BadSetting("--log", "give the key of the log: neither this option nor a policy names one")
    applied = policy or _no_witnesses()
    proved = receipt.verify(replace(applied, logs=()) if logs else applied, logs)
    if as_json:
        print_json(_to_json(proved, applied))
        return
    checkpoint = proved.checkpoint
    click.echo(_describe_event(json.loads(proved.event)))
    click.echo(f"it is in the log of {checkpoint.origin}, which signed it in a checkpoint of {checkpoint.size} events")
    click.echo(_describe_proof(proved, policy))


def _log_key(vkey: str) -> Verifier:
    from hashdb.domain.ledger.notes import Verifier

    try:
        return Verifier.parse(vkey)
    except BadNote:
        raise BadSetting("--log", "must be the key of a log (vkey), as GET /v1/log returns it") from None


def _no_witnesses() -> Policy:
    """A policy that requires no witness, and names no log."""
    from hashdb.domain.ledger.policies import Policy

    return Policy(logs=(), witnesses=(), groups={}, quorum="none")


def _read_receipt(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES).decode()
    except OSError as error:
        raise BadSetting("FILE", f"{file} cannot be read: {os_reason(error)}") from None
    except UnicodeDecodeError:
        raise BadReceipt(f"{file} is not UTF-8") from None


def _describe_event(event: dict[str, Any]) -> str:
    """What happened, in one line."""
    subject, actor = str(event.get("subject")).replace(":", " "), str(event.get("actor")).replace(":", " ")
    return escape_controls(
        f"event {event['seq']}: {event.get('action')} on {subject}, by {actor}, at {event.get('at')}"
    )


def _describe_proof(proved: ProvedEvent, policy: Policy | None) -> str:
    """What the receipt proves, and what it does not."""
    later = "Later events may have changed what it says."
    if not proved.signed:
        return (
            "no cosignature of a witness was verified: this proves what the operator signed, and not that others see"
            f" the same log. {later}"
        )
    assert policy is not None
    return (
        f"cosigned by {format_witnesses(proved.signed)}: these witnesses saw a log that only grew, and everyone who"
        f" requires this quorum sees the same log. {later}"
    )


def format_witnesses(signed: Mapping[WitnessKey, int]) -> str:
    """The names of witnesses, each with the time of its cosignature."""
    return ", ".join(f"{key.name} at {_cosigned_at(time)}" for key, time in signed.items())


def witnesses_to_json(signed: Mapping[WitnessKey, int]) -> list[dict[str, str]]:
    """The names of witnesses, each with the time of its cosignature, as JSON."""
    return [{"name": key.name, "at": _cosigned_at(time)} for key, time in signed.items()]


def _cosigned_at(time: int) -> str:
    """When a witness cosigned. `time` is in seconds since 1970, as the witness signed it: it may be any number."""
    return format_instant(datetime.fromtimestamp(min(time, _LAST_SECOND), UTC))


def _to_json(proved: ProvedEvent, policy: Policy) -> dict[str, object]:
    return {
        "verified": True,
        "event": json.loads(proved.event),
        "origin": proved.checkpoint.origin,
        "size": proved.checkpoint.size,
        "least": policy.min_witnesses,
        "witnesses": witnesses_to_json(proved.signed),
    }
