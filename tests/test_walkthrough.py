"""The request paths of docs/architecture.md, end to end: `hashdb serve` with two workers, HTTP and the command line."""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm, Signal
from tests.builders import near, signal
from tests.cli.conftest import PHOTOS, Commands
from tests.serving import serving

TAGS = {"commitment", "epoch", "kept", "password_tag", "root", "second_factor_tag", "secret_tag", "session"}
"""Fields of the details of an event that have random bits, the tag of a secret, or a salted hash."""
METADATA = {"labels": ["glorification"], "removed_at": "2026-11-20T10:00:00Z", "quality": 97}


@dataclass
class Platform:
    """A member as its engineers use the service: with a key, by HTTP and by the commands."""

    id: int
    http: httpx.Client
    run: Commands

    def ask(self, method: str, path: str, status: int = 200, **request: Any) -> Any:
        """Send a request, expect this status, and return the parsed body."""
        response = self.http.request(method, path, **request)
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def contribute(self, *signals: Signal, **fields: Any) -> dict[str, Any]:
        """Add a contribution, and return it as the service answered, with the checkpoint."""
        draft = {**METADATA, "signals": list(map(str, signals)), **fields}
        answer = self.ask("POST", "/v1/contributions", 201, json={"contributions": [draft]})
        (recorded,) = answer["contributions"]
        return {**recorded, "checkpoint": answer["checkpoint"]}

    def match(self, *signals: Signal) -> list[int]:
        """Send one query, and return the contributions that match, nearest first."""
        body = {"queries": [{"signals": list(map(str, signals))}]}
        (result,) = self.ask("POST", "/v1/matches", json=body)["results"]
        assert result["action"] == ("review" if result["matches"] else "none")
        return [match["contribution"] for match in result["matches"]]

    def changes(self, after: int, wait: int = 0) -> list[dict[str, Any]]:
        """The changes of the feed after a seq. The service waits at most `wait` seconds for the first change."""
        page = self.ask("GET", "/v1/changes", params={"after": after, "wait": wait})
        assert not page["more"]
        changes: list[dict[str, Any]] = page["changes"]
        return changes


@dataclass
class Service:
    """A real service as its operator uses it."""

    url: str
    operator: Platform
    connections: ExitStack

    def member(self, *scopes: str) -> Platform:
        """Add a member with a key of these scopes (by default those of a platform)."""
        name = f"Member {next(_names)}"
        member = self.operator.ask("POST", "/v1/members", 201, json={"name": name, "kind": "platform"})
        body = {"scopes": scopes or ["contribute", "match", "feed"]}
        key = self.operator.ask("POST", f"/v1/members/{member['id']}/keys", 201, json=body)
        return _platform(self.url, self.connections, member["id"], key["secret"])

    def set_status(self, member: Platform, status: str) -> None:
        """Suspend or reinstate a member."""
        self.operator.ask("PATCH", f"/v1/members/{member.id}", json={"status": status})


_names = count(1)


@contextmanager
def _service(home: Path, workers: int = 2, **settings: Any) -> Iterator[Service]:
    """A service whose first key, with the scope admin, was issued on the command line."""
    with serving(home, workers=workers, **settings) as url, ExitStack() as connections:
        commands = Commands({"HASHDB_HOME": str(home), **settings})
        added = commands.json("member", "add", "Operator", "--kind", "operator", "--scope", "admin")
        operator = _platform(url, connections, added["member"]["id"], added["key"]["secret"])
        yield Service(url, operator, connections)


def _platform(url: str, connections: ExitStack, id: int, secret: str) -> Platform:
    http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {secret}"}, timeout=60)
    return Platform(id, connections.enter_context(http), Commands({"HASHDB_URL": url, "HASHDB_KEY": secret}))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with _service(tmp_path_factory.mktemp("walkthrough") / "home") as service:
        yield service


@pytest.fixture
def alpha(service: Service) -> Platform:
    return service.member()


@pytest.fixture
def beta(service: Service) -> Platform:
    return service.member()


def test_the_match_command_recognises_an_altered_picture(alpha: Platform, beta: Platform, tmp_path: Path) -> None:
    options = ("--label", "glorification", "--severity", "3", "--removed-at", "now")
    contributed = alpha.run.json("contribute", *PHOTOS[:3], *options)
    assert [(contribution["known"], contribution["status"]) for contribution in contributed] == [(False, "active")] * 3
    altered = tmp_path / "altered.jpg"
    with Image.open(PHOTOS[1]) as photo:
        photo.resize((photo.width // 2, photo.height // 2)).save(altered, quality=60)
    matched = beta.run.json("match", altered, PHOTOS[10])
    assert [result["action"] for result in matched] == ["review", "none"]
    assert matched[0]["matches"][0]["contribution"] == contributed[1]["id"]
    assert matched[0]["matches"][0]["agree"] == ["pdq", "phash256", "phash"]


def test_the_service_recognises_an_altered_picture_that_it_hashed(alpha: Platform, beta: Platform) -> None:
    files = [("file", (photo.name, photo.read_bytes())) for photo in PHOTOS[3:5]]
    metadata = {name: value for name, value in METADATA.items() if name != "quality"}
    answer = alpha.ask("POST", "/v1/contributions/media", 201, files=files, data={"metadata": json.dumps(metadata)})
    first = answer["contributions"][0]
    with Image.open(PHOTOS[3]) as photo:
        altered = BytesIO()
        photo.save(altered, "PNG")
    (result,) = beta.ask("POST", "/v1/matches/media", files={"file": altered.getvalue()})["results"]
    assert result["matches"][0]["contribution"] == first["id"]
    assert len(result["signals"]) == 3


def test_an_amended_contribution_matches_until_it_is_withdrawn(alpha: Platform, beta: Platform) -> None:
    removed, uploaded = signal(1), near(signal(1), 30)
    id = alpha.contribute(removed, reference="case-7")["id"]
    assert beta.match(uploaded) == [id]
    assert beta.match(near(removed, 33)) == []
    alpha.ask("PATCH", f"/v1/contributions/{id}", json={"labels": ["incitement"], "severity": 4})
    (result,) = beta.ask("POST", "/v1/matches", json={"queries": [{"signals": [str(uploaded)]}]})["results"]
    assert result["matches"][0]["labels"] == ["incitement"]
    assert "reference" not in beta.ask("GET", f"/v1/contributions/{id}")
    assert beta.ask("PATCH", f"/v1/contributions/{id}", 403, json={"severity": 0})["type"] == "/problems/not-yours"
    withdrawn = alpha.run.json("withdraw", str(id), "--reason", "removal_reversed")
    assert (withdrawn["status"], withdrawn["withdrawal_reason"]) == ("withdrawn", "removal_reversed")
    assert beta.match(uploaded) == []
    assert alpha.contribute(removed)["known"] is False


def test_the_feed_read_from_0_gives_the_present_state(service: Service, alpha: Platform, beta: Platform) -> None:
    kept, withdrawn = alpha.contribute(signal(10)), alpha.contribute(signal(11))
    alpha.ask("PATCH", f"/v1/contributions/{kept['id']}", json={"severity": 1})
    alpha.ask("POST", f"/v1/contributions/{withdrawn['id']}/withdrawal", json={"reason": "other"})
    changes = beta.changes(kept["checkpoint"] - 1)
    assert [change["seq"] for change in changes] == sorted(change["seq"] for change in changes)
    assert [change.get("gone", change.get("contribution", {}).get("id")) for change in changes] == [
        kept["id"],
        withdrawn["id"],
        kept["id"],
        withdrawn["id"],
    ]
    copy = _replayed(beta.changes(0))
    assert copy[kept["id"]]["severity"] == 1
    assert copy[kept["id"]]["signals"] == [str(signal(10))]
    assert withdrawn["id"] not in copy
    alpha.run.json("withdraw", str(kept["id"]), "--reason", "other")
    assert kept["id"] not in _replayed(beta.changes(0))


def test_erased_content_is_gone_and_its_events_stay(service: Service, alpha: Platform, beta: Platform) -> None:
    auditor = service.member("audit")
    erased = alpha.contribute(signal(20), reference="case-20")
    alpha.ask("DELETE", f"/v1/contributions/{erased['id']}/content", 204)
    assert beta.match(signal(20)) == []
    contribution = alpha.ask("GET", f"/v1/contributions/{erased['id']}")
    assert (contribution["signals"], contribution["reference"], contribution["erased"]) == ([], None, True)
    events = auditor.ask("GET", "/v1/events", params={"subject": f"contribution:{erased['id']}"})["events"]
    assert [event["action"] for event in events] == [
        "contribution.added",
        "contribution.withdrawn",
        "contribution.erased",
    ]


def test_a_suspended_member_is_excluded_until_it_is_reinstated(
    service: Service, alpha: Platform, beta: Platform
) -> None:
    contributed = alpha.contribute(signal(30))
    service.set_status(alpha, "suspended")
    assert beta.match(signal(30)) == []
    assert alpha.ask("GET", "/v1/me", 403)["type"] == "/problems/member-suspended"
    (suspended,) = beta.changes(contributed["checkpoint"], wait=20)
    assert (suspended["gone"], suspended["reason"]) == (contributed["id"], "suspended")
    service.set_status(alpha, "active")
    assert beta.match(signal(30)) == [contributed["id"]]
    (reinstated,) = beta.changes(suspended["seq"], wait=20)
    assert reinstated["contribution"]["id"] == contributed["id"]
    assert alpha.ask("GET", "/v1/me")["member"]["status"] == "active"


def test_a_quarantined_contribution_matches_on_no_worker_until_it_is_upheld(
    service: Service, alpha: Platform, beta: Platform
) -> None:
    contribution = alpha.contribute(signal(35))
    disputed = beta.ask(
        "POST",
        f"/v1/contributions/{contribution['id']}/opinions",
        201,
        json={"opinion": "disputes", "reason": "edsa_context", "note": "a news report"},
    )
    readers = _one_a_worker(service, beta, 2).values()
    assert [reader.match(signal(35)) for reader in readers] == [[contribution["id"]]] * 2
    reviewer = service.member("review", "match")
    assert disputed["case"] in [case["id"] for case in reviewer.ask("GET", "/v1/cases?state=open&limit=1000")["cases"]]
    decision = {"decision": "quarantine", "note": "until we know more"}
    reviewer.ask("POST", f"/v1/cases/{disputed['case']}/decision", json=decision)
    assert [reader.match(signal(35)) for reader in readers] == [[]] * 2
    (case,) = alpha.run.json("case", "list")["cases"]
    assert (case["decision"], case["note"], case["reason"]) == ("quarantine", "until we know more", "edsa_context")
    assert contribution["id"] not in _replayed(beta.changes(0))
    confirmed = reviewer.run.json("opinion", str(contribution["id"]), "confirms")
    reviewer.run.json("case", "decide", str(confirmed["case"]), "uphold")
    assert [reader.match(signal(35)) for reader in readers] == [[contribution["id"]]] * 2
    assert _replayed(beta.changes(0))[contribution["id"]]["standing"] == "confirmed"


def test_the_log_has_no_gap_and_every_leaf_can_be_recomputed(service: Service, alpha: Platform) -> None:
    auditor = service.member("audit")
    contributed = alpha.contribute(signal(40), reference="case-40")
    events = auditor.ask("GET", "/v1/events", params={"limit": 1000})["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert len(events) >= contributed["checkpoint"]
    for event in events:
        leafless = {name: value for name, value in event.items() if name != "leaf"}
        text = json.dumps(leafless, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        assert hashlib.sha256(b"\x00" + text.encode()).hexdigest() == event["leaf"]
        # Tags of secrets and the epoch are random bits or digests; they say nothing about content.
        details = {name: value for name, value in event["details"].items() if name not in TAGS}
        assert not re.search(r"[0-9a-f]{16}", json.dumps(leafless | {"details": details}))
        assert "case-" not in json.dumps(leafless)


def test_the_request_log_has_no_hash_no_key_and_no_query(tmp_path: Path) -> None:
    with _service(tmp_path / "home", workers=1) as service:
        member = service.member()
        member.contribute(signal(50))
        member.match(signal(50))
        member.changes(0)
    lines = [line for line in (tmp_path / "home.log").read_text().splitlines() if line.startswith("{")]
    entries = [json.loads(line) for line in lines]
    assert [(entry["method"], entry["route"], entry["status"]) for entry in entries if entry["actor"] == "key:2"] == [
        ("POST", "/v1/contributions", 201),
        ("POST", "/v1/matches", 200),
        ("GET", "/v1/changes", 200),
    ]
    for secret in (str(signal(50)).partition(":")[2], member.run.environment["HASHDB_KEY"], "after", "127.0.0.1"):
        assert secret not in "".join(lines)


def test_every_worker_matches_a_new_contribution_at_once(service: Service) -> None:
    _contribute_and_match(service, 200)


@pytest.mark.postgres
def test_every_worker_matches_a_new_contribution_at_once_on_postgresql(empty_postgres_url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert Commands({"HASHDB_HOME": str(home)})("upgrade", HASHDB_DATABASE_URL=empty_postgres_url).returncode == 0
    with _service(home, HASHDB_DATABASE_URL=empty_postgres_url) as service:
        _contribute_and_match(service, 40)
        member = service.member()
        contributed = member.contribute(signal(60))
        member.ask("POST", f"/v1/contributions/{contributed['id']}/withdrawal", json={"reason": "other"})
        assert member.match(signal(60)) == []
        assert member.changes(contributed["checkpoint"])[0]["gone"] == contributed["id"]


def _contribute_and_match(service: Service, times: int) -> None:
    """Contribute on one connection, and match each contribution at once on a connection to each worker."""
    alpha, beta = service.member(), service.member()
    readers = _one_a_worker(service, beta, 2)
    rng = random.Random(times)
    missed = []
    for _ in range(times):
        removed = signal(rng.getrandbits(60), Algorithm.PHASH256)
        id = alpha.contribute(removed)["id"]
        missed += [(worker, id) for worker, reader in readers.items() if reader.match(near(removed, 20)) != [id]]
    assert missed == []


def _one_a_worker(service: Service, member: Platform, workers: int) -> dict[int, Platform]:
    """A connection to each worker, by the process id. The kernel gives a new connection to any worker."""
    if sys.platform != "linux":
        pytest.skip("the test reads from /proc which process answers")
    connections: dict[int, Platform] = {}
    for _ in range(100):
        http = httpx.Client(base_url=service.url, headers=member.http.headers, limits=_ONE_KEPT)
        service.connections.enter_context(http)
        connections.setdefault(_process_behind(http.get("/v1/me")), replace(member, http=http))
        if len(connections) == workers:
            return connections
    raise AssertionError(f"of {workers} workers only {sorted(connections)} answered")


_ONE_KEPT = httpx.Limits(max_connections=1, keepalive_expiry=None)


def _process_behind(response: httpx.Response) -> int:
    """The id of the process that sent this response: it holds the other end of the connection."""
    client_port = "{:04X}".format(response.extensions["network_stream"].get_extra_info("client_addr")[1])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inode = next(row[9] for row in rows if row[2].endswith(f":{client_port}"))
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) == f"socket:[{inode}]":
                return int(descriptor.parts[2])
        except OSError:
            continue  # the process of another user, or one that has ended
    raise AssertionError("no process holds the other end of this connection")


def _replayed(changes: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The copy of the contributions that a reader of the feed has after these changes."""
    copy: dict[int, dict[str, Any]] = {}
    for change in changes:
        if "gone" in change:
            copy.pop(change["gone"], None)
        else:
            copy[change["contribution"]["id"]] = change["contribution"]
    return copy
