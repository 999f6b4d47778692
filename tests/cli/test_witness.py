"""hashdb witness: real processes. A real service asks them for cosignatures and puts these in its receipts."""

from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL

import httpx
import pytest

from hashdb.client import Client
from hashdb.domain.ledger.cosignatures import Cosigner, KeyType, WitnessKey, cosigners
from hashdb.errors import NotCosigned
from hashdb.witness.witnessing import origin_hash
from tests.cli.conftest import Commands
from tests.cli.test_local import wait_until
from tests.processes import children
from tests.serving import serving
from tests.warm import HASHDB, program
from tests.witness.conftest import ORIGIN, GrowingLog

TIMEOUT = 30.0


@pytest.fixture
def witness(tmp_path: Path) -> Commands:
    """Commands with the home of a witness."""
    return Commands({"HASHDB_HOME": str(tmp_path / "witness")})


def new_key(witness: Commands, *options: str) -> WitnessKey:
    """Create a key of the witness."""
    result = witness("witness", "key", "w.example/1", *options)
    assert result.returncode == 0, result.stderr
    return WitnessKey.parse(result.stdout.strip())


def write_logs(folder: Path, *vkeys: object) -> Path:
    file = folder / "logs.txt"
    file.write_text("# The logs.\n" + "".join(f"log {vkey}\n" for vkey in vkeys))
    return file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_witness(witness: Commands, logs: Path, port: int, workers: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A witness that answers on a port. It is stopped with SIGTERM."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    options = ["--logs", str(logs), "--bind", f"127.0.0.1:{port}", "--workers", str(workers)]
    start = [sys.executable, "-m", "hashdb"] if workers > 1 else program(HASHDB)
    log = logs.with_name("witness.log")
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*start, "witness", "serve", *options], env=inherited | witness.environment, stdout=file, stderr=file
        )
    try:
        deadline = time.monotonic() + TIMEOUT
        while True:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            try:
                if httpx.get(f"http://127.0.0.1:{port}/healthz").is_success:
                    break
            except httpx.HTTPError:
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def test_a_key_is_created_once_and_only_its_owner_can_read_it(witness: Commands, tmp_path: Path) -> None:
    result = witness("witness", "key", "w.example/1")
    file = tmp_path / "witness" / "witness" / "ed25519.key"
    assert result.stderr == f"wrote {file}; the operators of logs need this key:\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    cosigner = Cosigner.from_file(file.read_bytes())
    assert str(cosigner.key) == result.stdout.strip() == file.read_text().splitlines()[0]
    again = witness("witness", "key", "w.example/2")
    assert (again.returncode, again.stdout) == (2, "")
    assert f"{file}: exists" in again.stderr
    assert new_key(witness, "--type", "ml-dsa-44").type is KeyType.ML_DSA_44
    out = tmp_path / "organisation.key"
    assert witness.json("witness", "key", "w", "--out", tmp_path / "w.key")["vkey"].startswith("w+")
    assert new_key(witness, "--out", str(out)) == Cosigner.from_file(out.read_bytes()).key
    # OpenSSL can read the file.
    description = subprocess.run(["openssl", "pkey", "-in", out, "-noout", "-text"], capture_output=True, check=True)
    assert b"ED25519" in description.stdout
    result = witness("witness", "key", "two words")
    assert (result.returncode, "without spaces" in result.stderr) == (2, True)


def test_an_invalid_witness_key_log_list_or_address_is_reported(witness: Commands, tmp_path: Path) -> None:
    logs = write_logs(tmp_path, GrowingLog().signer.verifier)
    serve = ("witness", "serve", "--logs")
    assert "make one with `hashdb witness key NAME`" in witness(*serve, logs).stderr
    assert "no witness has run there" in witness("witness", "status").stderr
    new_key(witness)
    file = tmp_path / "witness" / "witness" / "ed25519.key"
    for text, error in (
        ("nonsense\n", "line 1 of the policy: a line must begin with log"),
        ("log x\n", "line 1 of the policy: this is not an Ed25519 verifier key"),
        ("", "has no line `log VKEY`"),
    ):
        logs.write_text(text)
        result = witness(*serve, logs)
        assert (result.returncode, result.stdout) == (2, "")
        assert error in result.stderr
    logs = write_logs(tmp_path, GrowingLog().signer.verifier)
    assert "cannot be read: no such file" in witness(*serve, tmp_path / "none").stderr
    assert "must be an address and a port" in witness(*serve, logs, "--bind", "x").stderr
    assert "give either --socket or --bind, not both" in witness(*serve, logs, "--bind", "x", "--socket", "y").stderr
    assert "--socket-group needs --socket" in witness(*serve, logs, "--socket-group", "y").stderr
    file.chmod(0o644)
    assert f"run chmod 600 {file}" in witness(*serve, logs).stderr
    file.chmod(0o600)
    file.write_bytes(file.read_bytes().replace(b"w.example/1", b"w.example/2"))
    assert "the first line of the file must be the vkey" in witness(*serve, logs).stderr
    file.write_bytes(f"{Cosigner.new('w.example/1').key}\n".encode() + file.read_bytes().partition(b"\n")[2])
    assert "does not match the key" in witness(*serve, logs).stderr


def test_a_witness_survives_kills_and_lists_the_checkpoints_that_it_refused(witness: Commands, tmp_path: Path) -> None:
    witness_key, port = new_key(witness), free_port()
    log = GrowingLog(5)
    fork = GrowingLog(9, fork=2)
    fork.signer = log.signer
    logs, url = write_logs(tmp_path, log.signer.verifier), f"http://127.0.0.1:{port}"

    def add(text: str) -> httpx.Response:
        return httpx.post(f"{url}/add-checkpoint", content=text.encode())

    with running_witness(witness, logs, port, workers=2) as process:
        assert "another hashdb runs from" in witness("witness", "serve", "--logs", logs).stderr
        lines = add(log.submission(0)).text
        assert cosigners(log.checkpoint().signed(log.signer) + lines, [witness_key])
        before = children(process.pid)
        for pid in before:
            os.kill(pid, SIGKILL)
        wait_until(lambda: len(children(process.pid)) == 2 and not {*before} & {*children(process.pid)})
        wait_until(lambda: httpx.get(f"{url}/healthz").is_success)
        assert add(fork.submission(5)).status_code == 422
    assert f"refused a checkpoint of {ORIGIN} with 9 events" in (tmp_path / "witness.log").read_text()
    log.grow(4)
    assert witness("witness", "status").returncode == 1
    with running_witness(witness, logs, port):
        assert (add(fork.submission(0)).status_code, add(fork.submission(0)).text) == (409, "5\n")
        assert add(log.submission(5)).status_code == 200
        result = witness("witness", "status")
    assert result.returncode == 1
    assert re.search(rf"^{ORIGIN} +9 +\S+Z$", result.stdout, re.MULTILINE), result.stdout
    assert f": 9 events of {ORIGIN}: the proof does not show" in result.stdout
    status = witness.json("witness", "status", status=1)
    assert [(checkpoint["origin"], checkpoint["size"]) for checkpoint in status["refused"]] == [(ORIGIN, 9)]
    assert status["refused"][0]["note"].startswith(fork.checkpoint().body)
    assert status["refused"][0]["cosigned"].startswith(log.checkpoint(5).body)


def test_a_receipt_of_a_witnessed_service_has_its_cosignatures(witness: Commands, tmp_path: Path) -> None:
    keys, port = (new_key(witness), new_key(witness, "--type", "ml-dsa-44")), free_port()
    policy = tmp_path / "policy.txt"
    witness_line = f"witness w {keys[0]} http://127.0.0.1:{port}\n"
    policy.write_text(f"{witness_line}quorum w\n")
    home = tmp_path / "service"
    # The log gets its key. The witness does not run yet.
    operator = Commands({"HASHDB_HOME": str(home)})
    with serving(home, workers=1, HASHDB_ORIGIN="log.example/1") as url, Client(url) as client:
        vkey = str(client.log().verifiers[-1])
        secret = operator.json("member", "add", "Alpha", "--kind", "platform", "--scope", "audit")["key"]["secret"]
        with Client(url, secret, retries=0) as auditor, pytest.raises(NotCosigned):
            auditor.receipt(1, witnessed=True)
    with (
        running_witness(witness, write_logs(tmp_path, vkey), port),
        serving(
            home,
            workers=1,
            HASHDB_WEBHOOK_NETWORKS="127.0.0.0/8",
            HASHDB_WEBHOOK_HTTP="1",
            HASHDB_WITNESSES=str(policy),
        ) as url,
    ):
        member, proof = Commands({"HASHDB_URL": url, "HASHDB_KEY": secret}), tmp_path / "a.tlog-proof"

        def is_witnessed() -> bool:
            options = ("--seq", "15", "--witnesses", policy, "--out", proof)
            result = member("audit", "receipt", *options)
            assert result.returncode == 0 or "cosignatures of the quorum yet" in result.stderr, result.stderr
            return result.returncode == 0

        wait_until(is_witnessed)
        # The witness serves the checkpoint that it cosigned, so that monitors can compare it.
        checkpoint = httpx.get(f"http://127.0.0.1:{port}/{origin_hash('log.example/1')}/checkpoint").text
        assert set(cosigners(checkpoint, keys)) == set(keys)
    # The receipt verifies after the service and the witness have stopped.
    result = Commands()("audit", "verify-receipt", proof, "--witnesses", policy, "--log", vkey)
    assert result.returncode == 0, result.stderr
    assert "cosigned by w.example/1 at 20" in result.stdout
    assert proof.stat().st_size < 4_096
