"""hashdb follow: a service follows the list of another service with a key from a file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Commands
from tests.serving import serving

LOOPBACK_ALLOWED = {"HASHDB_WEBHOOK_NETWORKS": "127.0.0.0/8", "HASHDB_WEBHOOK_HTTP": "true"}


def upstream_and_follower(tmp_path: Path) -> tuple[Commands, Commands]:
    """The commands of the upstream service, and those of the service that follows it."""
    upstream, follower = (
        Commands({"HASHDB_HOME": str(tmp_path / name)} | LOOPBACK_ALLOWED) for name in ("upstream", "follower")
    )
    return upstream, follower


def new_key(upstream: Commands, *scopes: str) -> str:
    """Add a member and return the secret of its key."""
    words = [word for scope in scopes for word in ("--scope", scope)]
    added = upstream.json("member", "add", f"Member for {' '.join(scopes)}", "--kind", "operator", *words)
    return str(added["key"]["secret"])


def test_a_list_is_followed_shown_paused_resumed_and_removed(tmp_path: Path) -> None:
    upstream, follower = upstream_and_follower(tmp_path)
    networks, plain = LOOPBACK_ALLOWED.values()
    with (
        serving(tmp_path / "upstream", workers=1) as url,
        serving(
            tmp_path / "follower", workers=1, HASHDB_WEBHOOK_NETWORKS=networks, HASHDB_WEBHOOK_HTTP=plain
        ) as follower_url,
    ):
        secret = new_key(upstream, "contribute", "match", "feed")
        file = tmp_path / "key"
        file.write_text(f"{secret}\n", "utf-8")
        row = {"signals": [f"pdq:{'0f' * 32}"], "labels": ["recruitment"], "quality": 90}
        listed = tmp_path / "list.jsonl"
        listed.write_text(json.dumps(row | {"removed_at": "2026-11-01T00:00:00Z"}), "utf-8")
        assert upstream("import", listed, HASHDB_URL=url, HASHDB_KEY=secret).returncode == 0
        result = follower("follow", url, "--name", "That list", "--key-file", file)
        assert result.stdout.startswith("upstream 1: follows That list (hashdb/") and "are sent back" in result.stdout
        headers = {"Authorization": f"Bearer {new_key(follower, 'audit')}"}
        deadline = time.monotonic() + 20
        while not (
            contributions := httpx.get(f"{follower_url}/v1/contributions", headers=headers).json()["contributions"]
        ):
            assert time.monotonic() < deadline, follower("follow", "status").stdout
            time.sleep(0.1)
        assert (contributions[0]["signals"], contributions[0]["origin"]["contribution"]) == (row["signals"], 1)
        # The contribution is stored before the service records that it is up to date.
        while "up to date as of" not in follower("follow", "status").stdout:
            assert time.monotonic() < deadline + 20
    status = follower("follow", "status")
    assert (status.returncode, "\n  following\n  up to date as of " in status.stdout) == (0, True)
    assert [row["state"] for row in follower.json("follow", "list")] == ["following"]
    assert secret not in "".join(path.read_text("utf-8") for path in tmp_path.glob("*.log"))
    assert follower("follow", "pause", "1").stdout == "upstream 1: paused\n"
    assert "That list" in follower("follow", "list").stdout
    result = follower("follow", "resume", "1")
    assert (result.returncode, result.stderr) == (1, "hashdb: url: it does not answer\n")
    result = follower("follow", "remove", "1")
    assert result.stdout == "upstream 1 (That list) is removed; 1 contribution is withdrawn\n"
    assert follower("follow", "remove", "1").stderr == "hashdb: upstream 1 does not exist\n"


@pytest.mark.parametrize(
    ("url", "key", "error"),
    [
        ("http://127.0.0.1:1", "hdb_x", "url: it does not answer"),
        ("http://10.0.0.1", "hdb_x", "url: this is not a public address"),
        ("ftp://example.org", "hdb_x", "url: must be a URL that begins with http:// or https://"),
        ("https://example.org", "secret", "key: must be the secret of a key: hdb_…"),
    ],
)
def test_an_upstream_that_cannot_be_followed_is_reported_in_one_sentence(
    tmp_path: Path, url: str, key: str, error: str
) -> None:
    _, follower = upstream_and_follower(tmp_path)
    file = tmp_path / "key"
    file.write_text(key, "utf-8")
    result = follower("follow", url, "--name", "That list", "--key-file", file)
    assert (result.returncode, result.stderr) == (1, f"hashdb: {error}\n")
