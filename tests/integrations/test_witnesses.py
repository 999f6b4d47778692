"""Witness programs of other projects cosign the checkpoints of a log that only grows, and reject any other log.

`sigsum-witness` is in Go (apt install sigsum-go), `aics-witness` in Python 3.12 (PyPI).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hashdb.domain.accounts.members import COMMAND_LINE, MemberDraft, MemberKind
from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.ledger.cosignatures import WitnessKey
from hashdb.domain.ledger.notes import Signer
from hashdb.domain.ledger.policies import Policy
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.ledger import checkpoints, witnesses
from hashdb.service.ledger.signing import Signing
from hashdb.store.ledger.witnesses import WitnessState
from tests.builders import NOON, RULES, Clock, hashdb

SIGSUM = shutil.which("sigsum-witness")
AICS = os.environ.get("HASHDB_TEST_AICS_WITNESS") or shutil.which("aics-witness", path=Path(sys.executable).parent)
"""The command. It needs Python 3.12; with an older Python, the variable names the command of another environment."""
_STARTS_WITHIN = 20.0
PROGRAMS = [
    pytest.param("sigsum", marks=pytest.mark.skipif(not SIGSUM, reason="no sigsum-witness (apt install sigsum-go)")),
    pytest.param("aics", marks=pytest.mark.skipif(not AICS, reason="no aics-witness (pip install aics-witness)")),
]
if not AICS and sys.version_info < (3, 12):
    del PROGRAMS[1]


@dataclass(frozen=True)
class Log:
    """A folder with databases of a log, and the key of the log. Its name has the form that sigsum-witness requires."""

    folder: Path
    signer: Signer
    policy: Policy

    @contextmanager
    def service(self, name: str = "first") -> Iterator[HashDB]:
        """The service of a database. It may send requests to the witness on this machine."""
        rules = replace(
            RULES, witnesses=self.policy, egress=EgressPolicy((ip_network("127.0.0.0/8"),), allows_http=True)
        )
        signing = Signing(self.folder / "signing.key", self.folder / f"{name}.txt", self.signer.name)
        # Events have no names of members, so the databases differ only in the times of their events.
        clock = Clock(NOON + timedelta(seconds=len(name)))
        db = hashdb(f"sqlite:///{self.folder}/{name}.sqlite", clock, rules, signing=signing)
        with closing(db):
            checkpoints.start(db)
            yield db

    def copy(self, name: str) -> None:
        """Copy the first database in its present state."""
        with (
            closing(sqlite3.connect(self.folder / "first.sqlite")) as source,
            closing(sqlite3.connect(self.folder / f"{name}.sqlite")) as target,
        ):
            source.backup(target)


@pytest.fixture(params=PROGRAMS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    """A log, and a witness that knows its key."""
    signer = Signer.new("log")
    public = signer.private.public_key()
    signer = replace(signer, name=f"sigsum.org/v1/tree/{hashlib.sha256(public.public_bytes_raw()).hexdigest()}")
    (tmp_path / "signing.key").write_bytes(signer.pem())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    witness = tmp_path / "witness"
    witness.mkdir()
    words, key = {"sigsum": _sigsum, "aics": _aics}[request.param](witness, signer, port)
    policy = Policy.parse(f"witness w {key} http://127.0.0.1:{port}/\nquorum w\n")
    with (witness / "log").open("wb") as file:
        # The Debian package needs this variable to match the addresses of requests.
        environment = os.environ | {"GODEBUG": "httpmuxgo121=0"}
        process = subprocess.Popen(words, env=environment, stdout=file, stderr=file)
    try:
        _await(process, port, witness / "log")
        yield Log(tmp_path, signer, policy)
    finally:
        process.terminate()
        process.wait(_STARTS_WITHIN)


def _sigsum(folder: Path, signer: Signer, port: int) -> tuple[list[str], WitnessKey]:
    public = signer.private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    (folder / "log.pub").write_bytes(public + b"\n")
    _run("sigsum-key", "generate", "-o", str(folder / "key"))
    octets = bytes.fromhex(_run("sigsum-key", "to-hex", "-k", str(folder / "key.pub")))
    key = WitnessKey(f"sigsum.org/v1/witness/{hashlib.sha256(octets).hexdigest()}", octets)
    words = [f"--signing-key={folder / 'key'}", f"--log-key={folder / 'log.pub'}", f"--state-file={folder / 'state'}"]
    return [str(SIGSUM), *words, f"127.0.0.1:{port}"], key


def _aics(folder: Path, signer: Signer, port: int) -> tuple[list[str], WitnessKey]:
    command = [str(AICS)]
    config = ["--config", str(folder / "witness.json")]
    printed = _run(*command, "init", *config, "--name", "witness.example/w1")
    vkey = next(word for word in printed.split() if word.startswith("witness.example/w1+"))
    _run(*command, "add-log", *config, "--origin", signer.name, "--vkey", str(signer.verifier))
    return [*command, "serve", *config, "--listen", f"127.0.0.1:{port}"], WitnessKey.parse(vkey)


def _run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(f"the witness did not start:\n{log.read_text('utf-8', 'replace')}")


def grow(db: HashDB, *names: str) -> int:
    """Add an event for each name, store a checkpoint of them, and return its size."""
    for name in names:
        members.add(db, COMMAND_LINE, MemberDraft(name, MemberKind.PLATFORM))
    checkpoints.keep(db, at_once=True)
    with db.store.read() as tx:
        last = tx.checkpoints.last()
    assert last is not None
    return last.size


def ask_witness(db: HashDB) -> WitnessState:
    """Ask the witness once for a cosignature, and return its state."""
    assert witnesses.ask(db) == 1
    with db.store.read() as tx:
        (state,) = tx.witness_states.by_named_id().values()
    return state


def verify_cosigned(db: HashDB, log: Log) -> int:
    """Verify the cosigned checkpoint with the policy, as a member does, and return its size."""
    note, now = witnesses.cosigned(db).note, time.time()
    checkpoint, signed = log.policy.check(note, [log.signer.verifier])
    assert all(abs(at - now) < 60 for at in signed.values())
    return checkpoint.size


def test_a_witness_cosigns_each_checkpoint_of_a_growing_log(log: Log) -> None:
    with log.service() as db:
        for names in (("Alpha",), ("Beta", "Gamma"), tuple(f"Member {number}" for number in range(40))):
            size = grow(db, *names)
            state = ask_witness(db)
            assert (state.size, state.trouble) == (size, None)
            assert verify_cosigned(db, log) == size


def test_a_service_that_lost_the_answer_of_a_witness_resumes(log: Log) -> None:
    with log.service() as db:
        for names in (("Alpha", "Beta"), ()):
            grow(db, *names)
            witnesses.ask(db)
            # The answer of the witness was lost: the service does not know which checkpoint it cosigned.
            with db.store.begin() as tx:
                tx.witness_states.set(log.policy.keys[0].named_id, WitnessState(next_at=db.now()))
            assert ask_witness(db).trouble is None
        size = grow(db, "Gamma")
        assert ask_witness(db).size == size
        assert verify_cosigned(db, log) == size


def test_a_witness_rejects_another_history(log: Log) -> None:
    with log.service() as db:
        size = grow(db, "Alpha", "Beta", "Gamma")
        assert ask_witness(db).size == size
    with log.service("rewritten") as db:
        assert grow(db, "Alpha", "Delta", "Gamma", "Epsilon") > size
        state = ask_witness(db)
        assert (state.refused, state.at) == (True, None)
        assert state.trouble == "the log does not extend the checkpoint that it cosigned last"
    with log.service() as db:
        grow(db, "Epsilon")
        assert ask_witness(db).trouble is None


def test_a_witness_rejects_a_fork(log: Log) -> None:
    with log.service() as db:
        first = grow(db, "Alpha")
        assert ask_witness(db).size == first
        log.copy("forked")
        second = grow(db, "Beta")
        assert ask_witness(db).size == second
    with log.service("forked") as db:
        assert grow(db, "Delta") == second
        state = ask_witness(db)
        assert (state.size, state.refused) == (first, True)
        grow(db, "Epsilon", "Zeta")
        db.now.advance(minutes=5)  # type: ignore[attr-defined]
        assert ask_witness(db).refused
        assert verify_cosigned(db, log) == first


def test_a_witness_rejects_a_log_that_was_restored_from_a_backup(log: Log) -> None:
    with log.service() as db:
        first = grow(db, "Alpha")
        assert ask_witness(db).size == first
        log.copy("backup")
        third = grow(db, "Beta", "Gamma", "Delta")
        assert ask_witness(db).size == third
    with log.service("backup") as db:
        size = grow(db, "Epsilon")
        state = ask_witness(db)
        assert state.refused
        assert (
            state.trouble
            == f"it cosigned {third} events, but the log has only {size}: the log was restored to an earlier state"
        )
