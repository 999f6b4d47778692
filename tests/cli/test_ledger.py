"""hashdb audit and the key that signs the log: for the operator, and for a member from outside."""

from __future__ import annotations

import re
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from hashdb.domain.ledger.notes import Signer
from tests.builders import Clock, contributed, draft, hashdb, member_with
from tests.cli.conftest import Commands
from tests.service.independent import open_checkpoint
from tests.serving import serving


def checkpoint_sizes(home: Path) -> list[str]:
    """The sizes of the checkpoints in the file of the home."""
    return re.findall(r"^(\d+)$", (home / "checkpoints.txt").read_text(), re.MULTILINE)


def newest_note(home: Path) -> str:
    """The newest note in the file of the home, from its third line on."""
    return (home / "checkpoints.txt").read_text().rpartition("log.example/1\n16\n")[2][:-1]


@pytest.fixture(scope="module")
def stopped_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a service that was stopped after 15 events: a key, the built-in benign list, a seed, and two more."""
    home = tmp_path_factory.mktemp("stopped") / "home"
    with serving(home, workers=1, HASHDB_ORIGIN="log.example/1"):
        Commands({"HASHDB_HOME": str(home)}).json("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
    return home


@pytest.fixture
def stopped(run: Commands, stopped_home: Path) -> Path:
    """A copy of the stopped home, which a test may change."""
    home = Path(run.environment["HASHDB_HOME"])
    return Path(shutil.copytree(stopped_home, home, dirs_exist_ok=True))


def test_verify_compares_the_log_with_a_checkpoint_from_outside(run: Commands, stopped: Path) -> None:
    notes = re.findall(r"log\.example/1\n\d+\n.+?\n\n.+?\n", (stopped / "checkpoints.txt").read_text(), re.DOTALL)
    (stopped / "kept.txt").write_text(notes[-1])
    command = ("audit", "verify", "--checkpoint", str(stopped / "kept.txt"))
    assert run.json(*command)["outside"]["size"] == 15
    result = run(*command)
    assert "proves events 1 to 15; the newest of them is 0 days old; 0 later events are" in result.stdout
    (stopped / "kept.txt").write_text(notes[-1].replace("\n15\n", "\n9\n"))
    verdict = run.json(*command, status=1)
    assert verdict["outside"] is None
    assert verdict["findings"][0]["reason"] == "the checkpoint from outside: the signature is not valid for this text"


def edit(home: Path, statement: str) -> None:
    """Change the database directly, without the service."""
    with sqlite3.connect(home / "hashdb.sqlite") as connection:
        connection.execute(statement)
    connection.close()


def test_a_stopped_service_leaves_its_whole_log_signed(run: Commands, stopped: Path) -> None:
    assert checkpoint_sizes(stopped)[-1] == "15"
    for name in ("signing.key", "checkpoints.txt"):
        assert stat.S_IMODE((stopped / name).stat().st_mode) == 0o600
    verdict = run.json("audit", "verify")
    assert (verdict["verified"], verdict["size"], verdict["first_bad"], verdict["findings"]) == (True, 15, None, [])
    assert verdict["checkpoints"] == len(checkpoint_sizes(stopped))
    assert verdict["outside"] is None
    result = run("audit", "verify")
    assert (result.returncode, result.stderr) == (0, "")
    assert "use --checkpoint with one that was kept elsewhere" in result.stdout
    assert re.match(
        r"15 events and \d signed checkpoints: nothing was rewritten, and the tables agree\n", result.stdout
    )


def test_changed_signals_are_found_with_the_option_signals(run: Commands, stopped: Path) -> None:
    with closing(hashdb(f"sqlite:///{stopped / 'hashdb.sqlite'}", Clock())) as db:
        contributed(db, member_with(db), draft(1))
    result = run("audit", "verify", "--signals")
    assert result.returncode == 0 and ": nothing was rewritten, and the tables and all signals agree\n" in result.stdout
    edit(stopped, "UPDATE signals SET value = randomblob(32) WHERE contribution_id = 1")
    assert run("audit", "verify").returncode == 0
    result = run("audit", "verify", "--signals")
    assert result.returncode == 1
    assert result.stdout.startswith("contribution 1, signals: they do not match the commitment in the log\n")


def test_verification_of_an_empty_log_is_an_error(run: Commands) -> None:
    for options in ([], ["--json"]):
        result = run("audit", "verify", *options)
        assert result.returncode == 2 and "rewritten" not in result.stdout + result.stderr
        assert "HASHDB_HOME: the audit log there is empty" in result.stderr


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE events SET actor = 'key:9' WHERE seq = 2", "event 2: changed"),
        ("DELETE FROM events WHERE seq = 3", "event 3: missing"),
        ("DELETE FROM events WHERE seq = 1", "event 1: missing"),
        ("UPDATE checkpoints SET note = 'x'", "the checkpoint of "),
        ("UPDATE members SET status = 'suspended'", "member 1, status: the log says active, the table suspended"),
        ("UPDATE keys SET scopes = ' admin '", "key 1, scopes: the log says match, the table admin"),
    ],
)
def test_a_tampered_database_is_reported_and_exits_with_status_1(
    run: Commands, stopped: Path, statement: str, finding: str
) -> None:
    edit(stopped, statement)
    result = run("audit", "verify")
    assert result.returncode == 1
    assert result.stdout.startswith(finding)
    verdict = run.json("audit", "verify", status=1)
    assert verdict["verified"] is False
    assert verdict["findings"][0]["first"] == verdict["first_bad"]


def test_serve_rejects_a_missing_or_wrong_signing_key(run: Commands, stopped: Path) -> None:
    file = stopped / "signing.key"
    key = file.read_bytes()
    file.unlink()
    result = run.process("serve", "--port", "0")
    assert result.returncode == 1
    assert re.fullmatch(
        rf"hashdb: the log is signed by log\.example/1\+\S+, and there is no {file}: "
        r"put the key there, or run `hashdb key rotate-signing`\n",
        result.stderr,
    )
    file.write_bytes(Signer.new("log.example/1").pem())
    file.chmod(0o600)
    assert "holds another key" in run.process("serve", "--port", "0").stderr
    other_file = stopped.parent / "key"
    other_file.write_bytes(key)
    other_file.chmod(0o600)
    with serving(stopped, HASHDB_SIGNING_KEY_FILE=str(other_file)):
        pass
    result = run.process("serve", "--port", "0", HASHDB_ORIGIN="other", HASHDB_SIGNING_KEY_FILE=str(other_file))
    assert result.returncode == 2
    assert result.stderr == "hashdb: HASHDB_ORIGIN: this log has been named log.example/1 since its first start\n"


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "x" * 201])
def test_an_invalid_origin_is_a_bad_setting(run: Commands, origin: str) -> None:
    result = run.process("serve", "--port", "0", HASHDB_ORIGIN=origin)
    assert (result.returncode, result.stderr[:23]) == (2, "hashdb: HASHDB_ORIGIN: ")


def test_a_lost_signing_key_is_replaced_and_its_signatures_still_verify(run: Commands, stopped: Path) -> None:
    (stopped / "signing.key").unlink()
    verifier_key = run.json("key", "rotate-signing")["vkey"]
    assert checkpoint_sizes(stopped)[-1] == "16"
    assert open_checkpoint("log.example/1\n16\n" + newest_note(stopped), verifier_key)[1] == 16
    assert run.json("audit", "verify")["verified"]
    assert run("key", "rotate-signing").stdout.startswith("log.example/1+")
    with serving(stopped):
        pass


def test_a_member_checks_the_log_from_outside(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    result = member("audit", "check", "--checkpoint", file)
    assert (result.returncode, result.stdout) == (1, "")
    command = f"`hashdb audit check --checkpoint {file} --save`"
    assert result.stderr == f"hashdb: {file} does not exist: write a first checkpoint with {command}\n"
    first = member.json("audit", "check", "--checkpoint", file, "--save")
    assert (first["before"], first["saved"], first["new_key"]) == (None, True, False)
    saved = file.read_text()
    assert open_checkpoint(saved, first["key"])[:2] == (first["origin"], first["size"])
    member("member", "add", "Another", "--kind", "platform")
    result = member("audit", "check", "--checkpoint", file)
    # Rejected requests of others may add an event meanwhile.
    assert (result.returncode, result.stderr) == (0, "")
    line = re.fullmatch(r"the log of (\S+) only grew: (\d+) events, now (\d+)\n", result.stdout)
    assert line, result.stdout
    assert (line[1], line[2]) == (first["origin"], str(first["size"]))
    assert int(line[3]) > first["size"]
    assert file.read_text() == saved
    second = member.json("audit", "check", "--checkpoint", file, "--save")
    assert second["before"] == first["size"] < second["size"]
    assert open_checkpoint(file.read_text(), second["key"])[1] == second["size"]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_check_with_witnesses_needs_a_witnessed_log_and_a_valid_policy(member: Commands, tmp_path: Path) -> None:
    file, policy = tmp_path / "checkpoint", tmp_path / "policy.txt"
    command = ("audit", "check", "--checkpoint", str(file), "--save")
    assert member.json(*command)["cosigned"] is None
    policy.write_text("quorum none\n")
    result = member(*command, "--witnesses", policy)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "hashdb: this log has no witnesses: its operator set no HASHDB_WITNESSES\n"
    assert member(*command, HASHDB_WITNESSES=str(policy)).stderr == result.stderr
    policy.write_text("quorum w1\n")
    result = member(*command, "--witnesses", policy)
    assert result.returncode == 2
    assert result.stderr.endswith(f"--witnesses: {policy}: line 1 of the policy: no earlier line defines w1\n")


def test_a_check_without_the_scope_audit_is_an_error(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    secret = member.json("member", "add", "No auditor", "--kind", "platform", "--scope", "match")["key"]["secret"]
    assert member("audit", "check", "--checkpoint", file, "--save", HASHDB_KEY=secret).returncode == 0
    member("member", "add", "One more", "--kind", "platform")
    saved = file.read_text()
    result = member("audit", "check", "--checkpoint", file, "--save", HASHDB_KEY=secret)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "hashdb: this key lacks the scope audit; it is the key from HASHDB_KEY\n"
    assert file.read_text() == saved


def test_a_running_service_uses_a_rotated_signing_key(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    old = member.json("audit", "check", "--checkpoint", file, "--save")
    new = member.json("key", "rotate-signing")["vkey"]
    result = member("audit", "check", "--checkpoint", file, "--save")
    assert result.returncode == 0
    assert result.stderr == f"the key that signs the log has changed since the kept checkpoint: it is now {new}\n"
    assert old["key"] != new
    assert not member.json("audit", "check", "--checkpoint", file)["new_key"]


def test_an_invalid_kept_checkpoint_is_reported(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    member("audit", "check", "--checkpoint", file, "--save")
    text = file.read_text()
    file.write_text(re.sub(r"^\d+$", "1", text, flags=re.MULTILINE))
    result = member("audit", "check", "--checkpoint", file, "--save")
    assert result.returncode == 1
    assert result.stderr == "hashdb: the checkpoint that was kept: the signature is not valid for this text\n"
    file.write_bytes(b"\xff")
    assert member("audit", "check", "--checkpoint", file).stderr.endswith("is not a readable checkpoint\n")
    result = member("audit", "check", "--checkpoint", tmp_path / "away" / "file", "--save")
    assert result.stderr.endswith("cannot be written: no such file or directory\n")
    assert member("audit", "check").returncode == 2
