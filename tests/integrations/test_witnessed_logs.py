"""Programs of another project work with hashdb: a client gets its cosignatures, and a verifier accepts its receipts.

`aics-witness` has a client for logs, and `aics-tlog` verifies proofs (PyPI, Python 3.12).
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from hashdb.domain.ledger.cosignatures import WitnessKey, cosigners
from tests.cli.conftest import Commands
from tests.cli.test_witness import free_port, new_key, running_witness, write_logs
from tests.domain.ledger.test_receipts import EVENTS, LOG, WITNESSES, receipt
from tests.integrations.test_witnesses import AICS
from tests.witness.conftest import ORIGIN, GrowingLog

pytestmark = pytest.mark.skipif(not AICS, reason="no aics-witness (pip install aics-witness)")
_SUBMIT = """
import json, sys
from aics_witness.feeder import WitnessClient, WitnessRejected
task = json.load(sys.stdin)
client = WitnessClient(task["url"], task["vkey"], state_path=task["state"])
for submission in task["submissions"]:
    proofs = {int(old): [bytes.fromhex(hash) for hash in hashes] for old, hashes in submission["proofs"].items()}
    try:
        answer = client.submit(submission["note"], lambda old, new: proofs[old])
    except WitnessRejected as error:
        answer = error.status
    print(json.dumps(answer))
"""


def _submission(log: GrowingLog, size: int) -> dict[str, Any]:
    """A checkpoint of a log, with the proofs from each smaller size."""
    proofs = {old: [hash.hex() for hash in log.proof(old, size)] for old in range(1, size)}
    return {"note": log.checkpoint(size).signed(log.signer), "proofs": proofs}


def _submit(folder: Path, url: str, vkey: WitnessKey, *submissions: dict[str, Any], state: str = "state") -> list[Any]:
    """Submit checkpoints with that client, and return the answers: lines of cosignatures, or error statuses."""
    task = {"url": url, "vkey": str(vkey), "state": str(folder / state), "submissions": submissions}
    words = [str(Path(str(AICS)).with_name("python")), "-c", _SUBMIT]
    result = subprocess.run(words, input=json.dumps(task), capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_client_gets_cosignatures_for_a_growing_log_and_none_for_a_fork(tmp_path: Path) -> None:
    witness, port = Commands({"HASHDB_HOME": str(tmp_path / "witness")}), free_port()
    witness_key, url = new_key(witness), f"http://127.0.0.1:{port}"
    new_key(witness, "--type", "ml-dsa-44")
    log, fork = GrowingLog(40), GrowingLog(40, fork=20)
    fork.signer = log.signer
    with running_witness(witness, write_logs(tmp_path, log.signer.verifier), port):
        sizes = (1, 2, 3, 3, 17, 30)
        lines = _submit(tmp_path, url, witness_key, *(_submission(log, size) for size in sizes))
        for size, line in zip(sizes, lines, strict=True):
            signed = cosigners(log.checkpoint(size).signed(log.signer) + line, [witness_key])
            assert abs(signed[witness_key] - time.time()) < 60
        # The witness tells a client that lost its state where to resume.
        (line,) = _submit(tmp_path, url, witness_key, _submission(log, 35), state="lost")
        assert cosigners(log.checkpoint(35).signed(log.signer) + line, [witness_key])
        assert _submit(tmp_path, url, witness_key, _submission(fork, 35), state="fork") == [422]
        assert _submit(tmp_path, url, witness_key, _submission(fork, 40), state="rewritten") == [422]
        assert _submit(tmp_path, url, witness_key, _submission(GrowingLog(40), 40), state="key") == [403]
        other = GrowingLog(40, "other.example")
        assert _submit(tmp_path, url, witness_key, _submission(other, 40), state="origin") == [404]
    rejected = witness.json("witness", "status", status=1)["refused"]
    assert [(checkpoint["origin"], checkpoint["size"]) for checkpoint in rejected] == [(ORIGIN, 35), (ORIGIN, 40)]


@pytest.mark.parametrize("seq", [1, 16, 17, len(EVENTS)])
def test_the_verifier_accepts_a_receipt_and_rejects_an_altered_event(tmp_path: Path, seq: int) -> None:
    now = int(time.time())
    head, _, note = str(receipt(seq, *WITNESSES, time=now)).partition("\n\n")
    _, extra, index, *hashes = head.split("\n")
    names = ("leaf", "proof", "checkpoint")
    files = {name: tmp_path / name for name in names}
    files["leaf"].write_bytes(base64.b64decode(extra.removeprefix("extra ")))
    files["proof"].write_text("".join(f"{hash}\n" for hash in hashes))
    files["checkpoint"].write_text(note)
    words = [str(Path(str(AICS)).with_name("aics-tlog")), "verify-inclusion", "--index", index.removeprefix("index ")]
    words += [word for name in names for word in (f"--{name}", str(files[name]))]
    words += ["--log-key", str(LOG.verifier), "--quorum", "2"]
    words += [word for witness in WITNESSES[:2] for word in ("--witness-key", str(witness.key))]

    def verify() -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert verify().returncode == 0, verify().stdout + verify().stderr
    files["leaf"].write_bytes(files["leaf"].read_bytes().replace(b"key:1", b"key:2"))
    assert verify().returncode != 0
