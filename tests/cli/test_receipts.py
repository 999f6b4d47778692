"""hashdb audit receipt and verify-receipt: a real service issues the receipts, which verify without it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hashdb.client import Client
from hashdb.domain.ledger.cosignatures import Cosigner
from hashdb.domain.ledger.receipts import Receipt
from tests.builders import draft
from tests.cli.conftest import Commands
from tests.domain.ledger.test_receipts import LOG, POLICY, WITNESSES, receipt


@pytest.fixture
def contribution(member: Commands) -> int:
    """The id of a contribution of the member."""
    with Client(member.environment["HASHDB_URL"], member.environment["HASHDB_KEY"]) as client:
        return client.contribute([draft(91_000)]).recorded[0].contribution.id


def log_key(member: Commands) -> str:
    with Client(member.environment["HASHDB_URL"]) as client:
        return str(client.log().verifiers[-1])


def test_a_receipt_verifies_without_the_service(member: Commands, contribution: int, tmp_path: Path) -> None:
    file, offline = tmp_path / "a.tlog-proof", Commands({"HASHDB_URL": "http://127.0.0.1:9"})
    result = member("audit", "receipt", str(contribution), "--out", file)
    pattern = rf"event \d+: contribution\.added on contribution {contribution}, by key \d+, at \S+Z\n"
    assert re.fullmatch(rf"{file}: {pattern}", result.stdout), result.stdout + result.stderr
    result = offline("audit", "verify-receipt", file, "--log", log_key(member))
    assert result.returncode == 0
    assert re.fullmatch(
        pattern
        + r"it is in the log of \S+, which signed it in a checkpoint of \d+ events\n"
        + r"no cosignature of a witness was verified: this proves what the operator signed, and not that others see"
        + r" the same log\."
        + r" Later events may have changed what it says\.\n",
        result.stdout,
    )
    document = offline.json("audit", "verify-receipt", file, "--log", log_key(member))
    assert document["event"]["subject"] == f"contribution:{contribution}"
    assert (document["verified"], document["least"], document["witnesses"]) == (True, 0, [])
    member("withdraw", str(contribution), "--reason", "other")
    assert "contribution.withdrawn" in Receipt.parse(member("audit", "receipt", str(contribution)).stdout).event
    added = member("audit", "receipt", str(contribution), "--action", "contribution.added").stdout
    output = member.json("audit", "receipt", str(contribution), "--action", "contribution.added")
    assert Receipt.parse(output["receipt"]).event == Receipt.parse(added).event
    seq = Receipt.parse(added).index + 1
    assert Receipt.parse(member("audit", "receipt", "--seq", str(seq)).stdout).event == Receipt.parse(added).event


def test_witnesses_are_listed_and_a_missing_quorum_is_an_error(tmp_path: Path) -> None:
    run, file, policy = Commands(), tmp_path / "a.tlog-proof", tmp_path / "policy.txt"
    lines = "".join(f"witness w{i} {cosigner.key}\n" for i, cosigner in enumerate(WITNESSES))
    policy.write_text(f"log {LOG.verifier}\n{lines}group all 2 w0 w1 w2\nquorum all\n")
    file.write_text(str(receipt(17, *WITNESSES[:2])))
    result = run("audit", "verify-receipt", file, "--witnesses", policy)
    assert result.returncode == 0
    assert "cosigned by w.example/1 at 2023-11-14T22:13:20.000000Z, w.example/2 at" in result.stdout
    output = run.json("audit", "verify-receipt", file, HASHDB_WITNESSES=str(policy))
    assert [witness["name"] for witness in output["witnesses"]] == ["w.example/1", "w.example/2"]
    assert output["least"] == POLICY.min_witnesses == 2
    file.write_text(str(receipt(17, WITNESSES[0], Cosigner.new("w.example/2"))))
    result = run("audit", "verify-receipt", file, "--witnesses", policy)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == ("hashdb: 1 of the 3 witnesses of the policy cosigned it: the quorum needs at least 2\n")


def test_an_invalid_receipt_exits_with_status_1(tmp_path: Path) -> None:
    run, file = Commands(), tmp_path / "a.tlog-proof"
    log_options = ("--log", str(LOG.verifier))
    altered = str(receipt(17)).replace("index 16", "index 15").encode()
    # A file that is no receipt is reported before an option that is missing or wrong.
    for octets, options in (
        (altered, log_options),
        *(
            (octets, options)
            for octets in (b"", b"\xff", b"x" * 2_000_000)
            for options in (log_options, (), ("--log", "x"))
        ),
    ):
        file.write_bytes(octets)
        result = run("audit", "verify-receipt", file, *options)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("hashdb: this is not a valid receipt: ")
    for options in (log_options, ()):
        result = run("audit", "verify-receipt", tmp_path / "none", *options)
        assert (result.returncode, "cannot be read: no such file" in result.stderr) == (2, True)


def test_wrong_usage_is_reported(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "a.tlog-proof"
    file.write_text(str(receipt(17)))
    for words, error in (
        (["verify-receipt", str(file)], "--log: give the key of the log"),
        (["verify-receipt", str(file), "--log", "x"], "--log: must be the key of a log"),
        (["verify-receipt", str(file), "--witnesses", str(file)], "line 1 of the policy"),
        (["receipt"], "give one of CONTRIBUTION, --case, --opinion and --seq"),
        (["receipt", "17", "--seq", "3"], "give one of"),
        (["receipt", "--seq", "3", "--action", "case.decided"], "give either --seq or --action, not both"),
    ):
        result = member("audit", *words)
        assert (result.returncode, result.stdout) == (2, ""), words
        assert error in result.stderr
    for words, error in (
        (["receipt", "999999999"], "an event of contribution 999999999 does not exist"),
        (["receipt", "--seq", "999999999"], "event 999999999 does not exist"),
        (["receipt", "1", "--action", "nonsense"], "action: "),
    ):
        result = member("audit", *words)
        assert (result.returncode, result.stdout) == (1, ""), words
        assert error in result.stderr


def test_a_receipt_of_another_event_is_rejected(
    member: Commands, contribution: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = member("audit", "receipt", "--seq", "1").stdout
    monkeypatch.setattr(Client, "receipt", lambda *arguments, **options: other)
    for words in (["--seq", "2"], [str(contribution)], ["--case", "1", "--action", "case.decided"]):
        result = member("audit", "receipt", *words)
        assert (result.returncode, result.stdout) == (1, "")
        assert "the receipt of another event" in result.stderr
    assert member("audit", "receipt", "--seq", "1").returncode == 0
