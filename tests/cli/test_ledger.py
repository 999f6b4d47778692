"""hashdb audit and the key that signs the log: on the service's machine, and from outside."""

from __future__ import annotations

import re
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from hashdb.domain.ledger.checkpoints import Signer
from tests.builders import Clock, contributed, draft, hashdb, member_with
from tests.cli.conftest import Commands
from tests.service.independent import open_checkpoint
from tests.serving import serving


def contents(home: Path) -> list[str]:
    """The sizes of the checkpoints that were written down."""
    return re.findall(r"^(\d+)$", (home / "checkpoints.txt").read_text(), re.MULTILINE)


def last_of(home: Path) -> str:
    """The newest note that was written down, from its third line."""
    return (home / "checkpoints.txt").read_text().rpartition("log.example/1\n16\n")[2][:-1]


@pytest.fixture(scope="module")
def once_stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a service that was stopped after 15 events: its key, the built-in list, a seed, and two more."""
    home = tmp_path_factory.mktemp("stopped") / "home"
    with serving(home, workers=1, HASHDB_ORIGIN="log.example/1"):
        Commands({"HASHDB_HOME": str(home)}).json("member", "add", "Alpha", "--kind", "platform", "--scope", "match")
    return home


@pytest.fixture
def stopped(run: Commands, once_stopped: Path) -> Path:
    """A copy of it, which is the test's."""
    home = Path(run.environment["HASHDB_HOME"])
    return Path(shutil.copytree(once_stopped, home, dirs_exist_ok=True))


def test_a_checkpoint_that_was_kept_elsewhere_is_held_against_the_log(run: Commands, stopped: Path) -> None:
    notes = re.findall(r"log\.example/1\n\d+\n.+?\n\n.+?\n", (stopped / "checkpoints.txt").read_text(), re.DOTALL)
    (stopped / "kept.txt").write_text(notes[-1])
    kept = ("audit", "verify", "--checkpoint", str(stopped / "kept.txt"))
    assert run.json(*kept)["outside"]["size"] == 15
    done = run(*kept)
    assert "proves events 1 to 15, the last 0 days old; the 0 later events" in done.stdout
    (stopped / "kept.txt").write_text(notes[-1].replace("\n15\n", "\n9\n"))
    verdict = run.json(*kept, status=1)
    assert verdict["outside"] is None
    assert verdict["findings"][0]["reason"] == "the checkpoint from outside: the signature does not fit the text"


def edit(home: Path, statement: str) -> None:
    """Edit the database underneath."""
    with sqlite3.connect(home / "hashdb.sqlite") as connection:
        connection.execute(statement)
    connection.close()


def test_what_is_left_of_a_service_is_signed_to_the_end(run: Commands, stopped: Path) -> None:
    assert contents(stopped)[-1] == "15"
    for name in ("signing.key", "checkpoints.txt"):
        assert stat.S_IMODE((stopped / name).stat().st_mode) == 0o600
    verdict = run.json("audit", "verify")
    assert (verdict["verified"], verdict["size"], verdict["first_bad"], verdict["findings"]) == (True, 15, None, [])
    assert verdict["checkpoints"] == len(contents(stopped))
    assert verdict["outside"] is None
    done = run("audit", "verify")
    assert (done.returncode, done.stderr) == (0, "")
    assert "use --checkpoint with one that was kept elsewhere" in done.stdout
    assert re.match(r"15 events and \d signed checkpoints: nothing was rewritten, and the tables agree\n", done.stdout)


def test_signals_that_were_changed_are_found_where_they_are_compared(run: Commands, stopped: Path) -> None:
    with closing(hashdb(f"sqlite:///{stopped / 'hashdb.sqlite'}", Clock())) as db:
        contributed(db, member_with(db), draft(1))
    done = run("audit", "verify", "--signals")
    assert done.returncode == 0 and ": nothing was rewritten, and the tables and all signals agree\n" in done.stdout
    edit(stopped, "UPDATE signals SET value = randomblob(32) WHERE contribution_id = 1")
    assert run("audit", "verify").returncode == 0
    done = run("audit", "verify", "--signals")
    assert done.returncode == 1
    assert done.stdout.startswith("contribution 1, signals: they are not those that the log commits to\n")


def test_of_an_empty_log_nothing_is_said_to_be_proved(run: Commands) -> None:
    for options in ([], ["--json"]):
        done = run("audit", "verify", *options)
        assert done.returncode == 2 and "rewritten" not in done.stdout + done.stderr
        assert "HASHDB_HOME: the audit log there is empty" in done.stderr


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE events SET actor = 'key:9' WHERE seq = 2", "event 2: changed"),
        ("DELETE FROM events WHERE seq = 3", "event 3: missing"),
        ("DELETE FROM events WHERE seq = 1", "event 1: missing"),
        ("UPDATE checkpoints SET note = 'x'", "the checkpoint of "),
        ("UPDATE members SET status = 'suspended'", "member 1, status: the log says active, the table suspended"),
        ("UPDATE keys SET scopes = ' admin '", "key 1, scopes: the log says match, the table admin"),
    ],
)
def test_a_tampered_database_is_told_and_ends_with_1(run: Commands, stopped: Path, statement: str, said: str) -> None:
    edit(stopped, statement)
    done = run("audit", "verify")
    assert done.returncode == 1
    assert done.stdout.startswith(said)
    verdict = run.json("audit", "verify", status=1)
    assert verdict["verified"] is False
    assert verdict["findings"][0]["first"] == verdict["first_bad"]


def test_another_key_is_refused_in_one_sentence(run: Commands, stopped: Path) -> None:
    file = stopped / "signing.key"
    key = file.read_bytes()
    file.unlink()
    done = run.process("serve", "--port", "0")
    assert done.returncode == 1
    assert re.fullmatch(
        rf"hashdb: the log is signed by log\.example/1\+\S+, and there is no {file}: "
        r"put the key there, or run `hashdb key rotate-signing`\n",
        done.stderr,
    )
    file.write_bytes(Signer.new("log.example/1").pem())
    file.chmod(0o600)
    assert "holds another key" in run.process("serve", "--port", "0").stderr
    elsewhere = stopped.parent / "key"
    elsewhere.write_bytes(key)
    elsewhere.chmod(0o600)
    with serving(stopped, HASHDB_SIGNING_KEY_FILE=str(elsewhere)):
        pass
    done = run.process("serve", "--port", "0", HASHDB_ORIGIN="other", HASHDB_SIGNING_KEY_FILE=str(elsewhere))
    assert done.returncode == 2
    assert done.stderr == "hashdb: HASHDB_ORIGIN: this log is named log.example/1 since its first start\n"


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "x" * 201])
def test_a_name_that_none_can_have_is_a_bad_setting(run: Commands, origin: str) -> None:
    done = run.process("serve", "--port", "0", HASHDB_ORIGIN=origin)
    assert (done.returncode, done.stderr[:23]) == (2, "hashdb: HASHDB_ORIGIN: ")


def test_a_lost_key_is_replaced_and_what_it_signed_still_verifies(run: Commands, stopped: Path) -> None:
    (stopped / "signing.key").unlink()
    vkey = run.json("key", "rotate-signing")["vkey"]
    assert contents(stopped)[-1] == "16"
    assert open_checkpoint("log.example/1\n16\n" + last_of(stopped), vkey)[1] == 16
    assert run.json("audit", "verify")["verified"]
    assert run("key", "rotate-signing").stdout.startswith("log.example/1+")
    with serving(stopped):
        pass


def test_a_member_checks_the_log_from_outside(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    done = member("audit", "check", "--checkpoint", file)
    assert (done.returncode, done.stdout) == (1, "")
    command = f"`hashdb audit check --checkpoint {file} --save`"
    assert done.stderr == f"hashdb: {file} does not exist: write a first checkpoint with {command}\n"
    first = member.json("audit", "check", "--checkpoint", file, "--save")
    assert (first["before"], first["saved"], first["new_key"]) == (None, True, False)
    kept = file.read_text()
    assert open_checkpoint(kept, first["key"])[:2] == (first["origin"], first["size"])
    member("member", "add", "Another", "--kind", "platform")
    done = member("audit", "check", "--checkpoint", file)
    # What others were refused meanwhile may be an event of its own.
    assert (done.returncode, done.stderr) == (0, "")
    line = re.fullmatch(r"the log of (\S+) only grew: (\d+) events, now (\d+)\n", done.stdout)
    assert line, done.stdout
    assert (line[1], line[2]) == (first["origin"], str(first["size"]))
    assert int(line[3]) > first["size"]
    assert file.read_text() == kept
    second = member.json("audit", "check", "--checkpoint", file, "--save")
    assert second["before"] == first["size"] < second["size"]
    assert open_checkpoint(file.read_text(), second["key"])[1] == second["size"]
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_what_witnesses_cosigned_is_checked_too(member: Commands, tmp_path: Path) -> None:
    file, policy = tmp_path / "checkpoint", tmp_path / "policy.txt"
    words = ("audit", "check", "--checkpoint", str(file), "--save")
    assert member.json(*words)["cosigned"] is None
    policy.write_text("quorum none\n")
    done = member(*words, "--witnesses", policy)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "hashdb: this log has no witnesses: its operator set no HASHDB_WITNESSES\n"
    assert member(*words, HASHDB_WITNESSES=str(policy)).stderr == done.stderr
    policy.write_text("quorum w1\n")
    done = member(*words, "--witnesses", policy)
    assert done.returncode == 2
    assert done.stderr.endswith(f"--witnesses: {policy}: line 1 of the policy: no earlier line defines w1\n")


def test_without_the_scope_for_proofs_the_check_says_so(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    secret = member.json("member", "add", "No auditor", "--kind", "platform", "--scope", "match")["key"]["secret"]
    assert member("audit", "check", "--checkpoint", file, "--save", HASHDB_KEY=secret).returncode == 0
    member("member", "add", "One more", "--kind", "platform")
    kept = file.read_text()
    done = member("audit", "check", "--checkpoint", file, "--save", HASHDB_KEY=secret)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "hashdb: this key lacks the scope audit; it is the key from HASHDB_KEY\n"
    assert file.read_text() == kept


def test_a_service_takes_up_a_new_key_while_it_runs(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    old = member.json("audit", "check", "--checkpoint", file, "--save")
    new = member.json("key", "rotate-signing")["vkey"]
    done = member("audit", "check", "--checkpoint", file, "--save")
    assert done.returncode == 0
    assert done.stderr == f"the key that signs the log has changed since the kept checkpoint: it is now {new}\n"
    assert old["key"] != new
    assert not member.json("audit", "check", "--checkpoint", file)["new_key"]


def test_what_was_kept_and_is_no_checkpoint_is_told(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    member("audit", "check", "--checkpoint", file, "--save")
    text = file.read_text()
    file.write_text(re.sub(r"^\d+$", "1", text, flags=re.MULTILINE))
    done = member("audit", "check", "--checkpoint", file, "--save")
    assert done.returncode == 1
    assert done.stderr == "hashdb: the checkpoint that was kept: the signature does not fit the text\n"
    file.write_bytes(b"\xff")
    assert member("audit", "check", "--checkpoint", file).stderr.endswith("is not a readable checkpoint\n")
    done = member("audit", "check", "--checkpoint", tmp_path / "away" / "file", "--save")
    assert done.stderr.endswith("cannot be written: no such file or directory\n")
    assert member("audit", "check").returncode == 2
