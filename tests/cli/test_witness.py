"""hashdb witness: real processes, which a real service asks, and whose cosignatures its receipts carry."""

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
from tests.cli.test_local import eventually
from tests.processes import children
from tests.serving import serving
from tests.warm import HASHDB, program
from tests.witness.conftest import ORIGIN, GrowingLog

_WITHIN = 30.0


@pytest.fixture
def witness(tmp_path: Path) -> Commands:
    """Commands with a home of their own."""
    return Commands({"HASHDB_HOME": str(tmp_path / "witness")})


def key(witness: Commands, *options: str) -> WitnessKey:
    """A new key of the witness."""
    done = witness("witness", "key", "w.example/1", *options)
    assert done.returncode == 0, done.stderr
    return WitnessKey.parse(done.stdout.strip())


def logs_of(folder: Path, *vkeys: object) -> Path:
    file = folder / "logs.txt"
    file.write_text("# The logs.\n" + "".join(f"log {vkey}\n" for vkey in vkeys))
    return file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(witness: Commands, logs: Path, port: int, workers: int = 1) -> Iterator[subprocess.Popen[bytes]]:
    """A witness that answers on a port, ended by SIGTERM."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    options = ["--logs", str(logs), "--bind", f"127.0.0.1:{port}", "--workers", str(workers)]
    start = [sys.executable, "-m", "hashdb"] if workers > 1 else program(HASHDB)
    log = logs.with_name("witness.log")
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*start, "witness", "serve", *options], env=kept | witness.environment, stdout=file, stderr=file
        )
    try:
        until = time.monotonic() + _WITHIN
        while True:
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            try:
                if httpx.get(f"http://127.0.0.1:{port}/healthz").is_success:
                    break
            except httpx.HTTPError:
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(_WITHIN)


def test_a_key_is_made_once_and_nobody_else_reads_it(witness: Commands, tmp_path: Path) -> None:
    done = witness("witness", "key", "w.example/1")
    file = tmp_path / "witness" / "witness" / "ed25519.key"
    assert done.stderr == f"wrote {file}; the operators of logs need this key:\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    cosigner = Cosigner.from_file(file.read_bytes())
    assert str(cosigner.key) == done.stdout.strip() == file.read_text().splitlines()[0]
    again = witness("witness", "key", "w.example/2")
    assert (again.returncode, again.stdout) == (2, "")
    assert f"{file}: exists" in again.stderr
    assert key(witness, "--type", "ml-dsa-44").type is KeyType.ML_DSA_44
    out = tmp_path / "organisation.key"
    assert witness.json("witness", "key", "w", "--out", tmp_path / "w.key")["vkey"].startswith("w+")
    assert key(witness, "--out", str(out)) == Cosigner.from_file(out.read_bytes()).key
    # OpenSSL reads it as it is.
    shown = subprocess.run(["openssl", "pkey", "-in", out, "-noout", "-text"], capture_output=True, check=True)
    assert b"ED25519" in shown.stdout
    done = witness("witness", "key", "two words")
    assert (done.returncode, "without spaces" in done.stderr) == (2, True)


def test_what_cannot_serve_is_told(witness: Commands, tmp_path: Path) -> None:
    logs = logs_of(tmp_path, GrowingLog().signer.verifier)
    serve = ("witness", "serve", "--logs")
    assert "make one with `hashdb witness key NAME`" in witness(*serve, logs).stderr
    assert "no witness has run there" in witness("witness", "status").stderr
    key(witness)
    file = tmp_path / "witness" / "witness" / "ed25519.key"
    for text, said in (
        ("nonsense\n", "line 1 of the policy: a line begins with log"),
        ("log x\n", "line 1 of the policy: this is not an Ed25519 verifier key"),
        ("", "has no line `log VKEY`"),
    ):
        logs.write_text(text)
        done = witness(*serve, logs)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
    logs = logs_of(tmp_path, GrowingLog().signer.verifier)
    assert "cannot be read: no such file" in witness(*serve, tmp_path / "none").stderr
    assert "must be an address and a port" in witness(*serve, logs, "--bind", "x").stderr
    assert "exclude each other" in witness(*serve, logs, "--bind", "x", "--socket", "y").stderr
    assert "--socket-group needs --socket" in witness(*serve, logs, "--socket-group", "y").stderr
    file.chmod(0o644)
    assert f"run chmod 600 {file}" in witness(*serve, logs).stderr
    file.chmod(0o600)
    file.write_bytes(file.read_bytes().replace(b"w.example/1", b"w.example/2"))
    assert "the first line of the file must be the vkey" in witness(*serve, logs).stderr
    file.write_bytes(f"{Cosigner.new('w.example/1').key}\n".encode() + file.read_bytes().partition(b"\n")[2])
    assert "is not the one of the key" in witness(*serve, logs).stderr


def test_a_witness_outlives_its_processes_and_shows_what_it_refused(witness: Commands, tmp_path: Path) -> None:
    mine, port = key(witness), free_port()
    log = GrowingLog(5)
    fork = GrowingLog(9, fork=2)
    fork.signer = log.signer
    logs, url = logs_of(tmp_path, log.signer.verifier), f"http://127.0.0.1:{port}"

    def add(text: str) -> httpx.Response:
        return httpx.post(f"{url}/add-checkpoint", content=text.encode())

    with running(witness, logs, port, workers=2) as process:
        assert "another hashdb runs from" in witness("witness", "serve", "--logs", logs).stderr
        lines = add(log.submission(0)).text
        assert cosigners(log.checkpoint().signed(log.signer) + lines, [mine])
        before = children(process.pid)
        for pid in before:
            os.kill(pid, SIGKILL)
        eventually(lambda: len(children(process.pid)) == 2 and not {*before} & {*children(process.pid)})
        eventually(lambda: httpx.get(f"{url}/healthz").is_success)
        assert add(fork.submission(5)).status_code == 422
    assert f"refused a checkpoint of {ORIGIN} with 9 events" in (tmp_path / "witness.log").read_text()
    log.grow(4)
    assert witness("witness", "status").returncode == 1
    with running(witness, logs, port):
        assert (add(fork.submission(0)).status_code, add(fork.submission(0)).text) == (409, "5\n")
        assert add(log.submission(5)).status_code == 200
        done = witness("witness", "status")
    assert done.returncode == 1
    assert re.search(rf"^{ORIGIN} +9 +\S+Z$", done.stdout, re.MULTILINE), done.stdout
    assert f": 9 events of {ORIGIN}: the proof does not show" in done.stdout
    found = witness.json("witness", "status", status=1)
    assert [(each["origin"], each["size"]) for each in found["refused"]] == [(ORIGIN, 9)]
    assert found["refused"][0]["note"].startswith(fork.checkpoint().body)
    assert found["refused"][0]["cosigned"].startswith(log.checkpoint(5).body)


def test_a_service_is_witnessed_and_its_receipts_say_so(witness: Commands, tmp_path: Path) -> None:
    keys, port = (key(witness), key(witness, "--type", "ml-dsa-44")), free_port()
    policy = tmp_path / "policy.txt"
    asked = f"witness w {keys[0]} http://127.0.0.1:{port}\n"
    policy.write_text(f"{asked}quorum w\n")
    home = tmp_path / "service"
    # The log gets its key; nobody answers for the witness yet.
    operator = Commands({"HASHDB_HOME": str(home)})
    with serving(home, workers=1, HASHDB_ORIGIN="log.example/1") as url, Client(url) as client:
        vkey = str(client.log().verifiers[-1])
        secret = operator.json("member", "add", "Alpha", "--kind", "platform", "--scope", "audit")["key"]["secret"]
        with Client(url, secret, retries=0) as auditor, pytest.raises(NotCosigned):
            auditor.receipt(1, witnessed=True)
    with (
        running(witness, logs_of(tmp_path, vkey), port),
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
            done = member("audit", "receipt", *options)
            assert done.returncode == 0 or "cosignatures of the quorum yet" in done.stderr, done.stderr
            return done.returncode == 0

        eventually(is_witnessed)
        # A monitor compares what the witness itself serves.
        served = httpx.get(f"http://127.0.0.1:{port}/{origin_hash('log.example/1')}/checkpoint").text
        assert set(cosigners(served, keys)) == set(keys)
    # Verified when neither the service nor the witness is there any more.
    done = Commands()("audit", "verify-receipt", proof, "--witnesses", policy, "--log", vkey)
    assert done.returncode == 0, done.stderr
    assert "cosigned by w.example/1 at 20" in done.stdout
    assert proof.stat().st_size < 4_096
