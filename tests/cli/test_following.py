"""hashdb follow: a service follows another, by a key from a file or standard input."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Commands
from tests.serving import serving

LOCAL = {"HASHDB_WEBHOOK_NETWORKS": "127.0.0.0/8", "HASHDB_WEBHOOK_HTTP": "true"}


def homes(tmp_path: Path) -> tuple[Commands, Commands]:
    """The commands of the service that is followed, and of the one that follows."""
    there, here = (Commands({"HASHDB_HOME": str(tmp_path / name)} | LOCAL) for name in ("there", "here"))
    return there, here


def key_at(there: Commands, *scopes: str) -> str:
    """The secret of a new member's key."""
    words = [word for scope in scopes for word in ("--scope", scope)]
    added = there.json("member", "add", f"Member for {' '.join(scopes)}", "--kind", "operator", *words)
    return str(added["key"]["secret"])


def test_a_list_is_followed_shown_paused_resumed_and_removed(tmp_path: Path) -> None:
    there, here = homes(tmp_path)
    networks, plain = LOCAL.values()
    with (
        serving(tmp_path / "there", workers=1) as url,
        serving(tmp_path / "here", workers=1, HASHDB_WEBHOOK_NETWORKS=networks, HASHDB_WEBHOOK_HTTP=plain) as own,
    ):
        secret = key_at(there, "contribute", "match", "feed")
        file = tmp_path / "key"
        file.write_text(f"{secret}\n", "utf-8")
        row = {"signals": [f"pdq:{'0f' * 32}"], "labels": ["recruitment"], "quality": 90}
        listed = tmp_path / "list.jsonl"
        listed.write_text(json.dumps(row | {"removed_at": "2026-11-01T00:00:00Z"}), "utf-8")
        assert there("import", listed, HASHDB_URL=url, HASHDB_KEY=secret).returncode == 0
        done = here("follow", url, "--name", "That list", "--key-file", file)
        assert done.stdout.startswith("upstream 1: follows That list (hashdb/") and "are sent back" in done.stdout
        asked = {"Authorization": f"Bearer {key_at(here, 'audit')}"}
        until = time.monotonic() + 20
        while not (found := httpx.get(f"{own}/v1/contributions", headers=asked).json()["contributions"]):
            assert time.monotonic() < until, here("follow", "status").stdout
            time.sleep(0.1)
        assert (found[0]["signals"], found[0]["origin"]["contribution"]) == (row["signals"], 1)
        # What was read is there before the service notes that it has read all.
        while "up to date as of" not in here("follow", "status").stdout:
            assert time.monotonic() < until + 20
    status = here("follow", "status")
    assert (status.returncode, "\n  following\n  up to date as of " in status.stdout) == (0, True)
    assert [row["state"] for row in here.json("follow", "list")] == ["following"]
    assert secret not in "".join(path.read_text("utf-8") for path in tmp_path.glob("*.log"))
    assert here("follow", "pause", "1").stdout == "upstream 1: paused\n"
    assert "That list" in here("follow", "list").stdout
    done = here("follow", "resume", "1")
    assert (done.returncode, done.stderr) == (1, "hashdb: url: it does not answer\n")
    done = here("follow", "remove", "1")
    assert done.stdout == "upstream 1 (That list) is removed; 1 contribution is withdrawn\n"
    assert here("follow", "remove", "1").stderr == "hashdb: upstream 1 does not exist\n"


@pytest.mark.parametrize(
    ("url", "key", "said"),
    [
        ("http://127.0.0.1:1", "hdb_x", "url: it does not answer"),
        ("http://10.0.0.1", "hdb_x", "url: this is not a public address"),
        ("ftp://example.org", "hdb_x", "url: must be a URL that begins with http:// or https://"),
        ("https://example.org", "secret", "key: must be the secret of a key: hdb_…"),
    ],
)
def test_what_cannot_be_followed_is_said_in_a_sentence(tmp_path: Path, url: str, key: str, said: str) -> None:
    _, here = homes(tmp_path)
    file = tmp_path / "key"
    file.write_text(key, "utf-8")
    done = here("follow", url, "--name", "That list", "--key-file", file)
    assert (done.returncode, done.stderr) == (1, f"hashdb: {said}\n")
