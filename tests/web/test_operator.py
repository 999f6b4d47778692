"""What an operator with every key still can do: docs/audit.md lists each deed and what finds it; here each is done."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from sqlalchemy import create_engine, text
from werkzeug.wrappers import Response

from hashdb.client import Client
from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.accounts.users import Role, UserDraft
from hashdb.domain.ledger.checkpoints import read_checkpoint
from hashdb.domain.matching.benign import BenignDraft
from hashdb.local import LocalIndex
from hashdb.monitoring.monitor import Monitor, MonitorPlan
from hashdb.service.accounts import members, sessions, users
from hashdb.service.contributions import contributions
from hashdb.service.ledger import active_set, checkpoints, verification
from hashdb.service.matching import benign
from hashdb.service.stats import counts
from tests.builders import query, signal
from tests.web.callers import Service, item, service_at

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
PASSWORD: Final = "correct horse battery staple"
VERIFY, MONITOR, EVENT = "`hashdb audit verify`", "`hashdb monitor`", "an event"
DEEDS: dict[str, Callable[[Ground], None]] = {}
"""Each deed by the words of the page."""


def _listed() -> dict[str, str]:
    """Each deed of the page, and the cell that says what finds it."""
    section = PAGE.read_text("utf-8").partition("## What the operator with every key still can do\n")[2]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\|$", section.partition("\n## ")[0], re.MULTILINE)
    return {deed: found for deed, found, _ in rows[2:]}


class Ground:
    """A service that two members use, and whoever has its database, its keys and its program."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service, self.db = service, service.db
        checkpoints.start(self.db)
        self.alpha = service.caller(Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED, name="Alpha Video")
        self.beta = service.caller(Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED, name="Beta Photos")
        benign.add(self.db, COMMAND_LINE, BenignDraft((signal(99),), note="a splash screen"))
        self.alpha.contribute(*map(item, (1, 2, 3)))
        self.beta.contribute(item(4))
        (erased,) = self.beta.contribute(item(5))
        self.kept = self.read(f"SELECT salt FROM contributions WHERE id = {erased['id']}")
        contributions.erase(self.db, members.authenticate(self.db, self.beta.secret or ""), erased["id"])
        self.beta.post("/v1/contributions/1/opinions", {"opinion": "confirms"})
        users.add(self.db, COMMAND_LINE, UserDraft("ada", Role.ADMIN), PASSWORD)
        sessions.sign_in(self.db, "ada", PASSWORD, "office")
        self.ask()
        service.clock.go(days=1)
        counts.seal(self.db)
        self.alpha.contribute(item(1), item(2), headers={"Idempotency-Key": "first"})
        self.ask()
        self.copy = LocalIndex(folder / "copy", clock=service.clock)
        self.beta_client = Client("http://hashdb.test", self.beta.secret or "", transport=self._wire)
        self.copy.sync(self.beta_client)
        watching = service.caller(Scope.FEED, Scope.AUDIT).secret or ""
        self.watching = Client("http://hashdb.test", watching, transport=self._wire)
        self.monitor = Monitor(folder, self.watching, MonitorPlan(), service.clock)

    @property
    def _wire(self) -> httpx.WSGITransport:
        return httpx.WSGITransport(self.service.app)

    def close(self) -> None:
        self.monitor.close()
        self.copy.close()
        self.watching.close()
        self.beta_client.close()

    def ask(self) -> list[int]:
        """What the service answers of the first contribution's signal to the other member."""
        found = self.beta.matched(str(signal(1)))
        counts.flush(self.db)
        return found

    def write(self, statement: str, **values: Any) -> None:
        """Write to the database by hand."""
        engine = create_engine(self.service.url)
        with engine.begin() as connection:
            assert connection.execute(text(statement), values).rowcount
        engine.dispose()

    def read(self, statement: str) -> list[Any]:
        """What is in the first column."""
        engine = create_engine(self.service.url)
        with engine.connect() as connection:
            found = list(connection.execute(text(statement)).scalars())
        engine.dispose()
        return found

    @contextmanager
    def answering(self, app: Any) -> Iterator[None]:
        """Let another program answer in the place of the service's."""
        inner = self.service.app.wsgi_app
        self.service.app.wsgi_app = app  # type: ignore[method-assign]
        yield
        self.service.app.wsgi_app = inner  # type: ignore[method-assign]

    @property
    def head(self) -> int:
        return self.db.store.head().seq

    def findings(self) -> list[str]:
        """What `hashdb audit verify --signals` finds."""
        return list(map(str, verification.verify(self.db, COMMAND_LINE, signals=True).findings))

    def alarms(self) -> list[str]:
        """What a member's monitor finds in the next half minute, in which the service goes on."""
        for _ in range(3):
            self.service.clock.go(seconds=10)
            active_set.keep(self.db, at_once=True)
            checkpoints.keep(self.db, at_once=True)
            if alarms := self.monitor.check(whole=True):
                return [alarm.what for alarm in alarms]
        return []


@pytest.fixture
def ground(service: Service, tmp_path: Path) -> Iterator[Ground]:
    made = Ground(service, tmp_path)
    yield made
    made.close()


def deed(words: str) -> Callable[[Callable[[Ground], None]], Callable[[Ground], None]]:
    """Let a function do the deed that the page names so."""

    def keep(do: Callable[[Ground], None]) -> Callable[[Ground], None]:
        DEEDS[words] = do
        return do

    return keep


@pytest.mark.parametrize("words", _listed())
def test_what_finds_a_deed_is_what_the_page_says(ground: Ground, words: str) -> None:
    assert ground.findings() == ground.alarms() == []
    found, before = _listed()[words], ground.head
    DEEDS[words](ground)
    assert (ground.head > before) == (EVENT in found), "whether the log has an event of it"
    findings = ground.findings()
    assert bool(findings) == (VERIFY in found), findings
    alarms = ground.alarms()
    assert bool(alarms) == (MONITOR in found), alarms


def test_the_page_lists_every_deed() -> None:
    assert list(_listed()) == list(DEEDS)


@deed("begins a session of the console by a row")
def _session(ground: Ground) -> None:
    ground.write(
        "INSERT INTO sessions (user_id, digest, complete, created_at, seen_at)"
        " SELECT user_id, :digest, complete, created_at, seen_at FROM sessions",
        digest=hashlib.sha256(b"mine").digest(),
    )


@deed("signs in as a user, with a new password")
def _sign_in(ground: Ground) -> None:
    password = users.reset(ground.db, COMMAND_LINE, 1).password
    assert password
    sessions.sign_in(ground.db, "ada", password, "office")


@deed("replaces the digest of a key's secret")
def _digest(ground: Ground) -> None:
    ground.write("UPDATE keys SET digest = :digest WHERE id = :id", digest=bytes(32), id=ground.alpha.key)


@deed("gives a key more scopes")
def _scopes(ground: Ground) -> None:
    ground.write("UPDATE keys SET scopes = :scopes WHERE id = :id", scopes='["admin"]', id=ground.alpha.key)


@deed("hides the distances from a key")
def _distances(ground: Ground) -> None:
    ground.write("UPDATE keys SET hides_distances = 1 WHERE id = :id", id=ground.beta.key)


@deed("silences an opinion by its flag")
def _opinion(ground: Ground) -> None:
    ground.write("UPDATE opinions SET silent = 1")


@deed("hides a contribution by its status or standing")
def _standing(ground: Ground) -> None:
    ground.write("UPDATE contributions SET standing = 'quarantined' WHERE id = 2")


@deed("changes the log's epoch")
def _epoch(ground: Ground) -> None:
    ground.write("UPDATE log SET epoch = 'another'")


@deed("forges a kept answer to a repeated request, with another member's contribution")
def _answer_of_another(ground: Ground) -> None:
    _answer_with(ground, 4)


@deed("forges it with another contribution of the same member")
def _answer_of_its_own(ground: Ground) -> None:
    _answer_with(ground, 3)
    asked = ground.alpha.contribute(item(1), item(2), headers={"Idempotency-Key": "first"})
    assert [one["id"] for one in asked] == [3, 3]


def _answer_with(ground: Ground, id: int) -> None:
    (answer,) = ground.read("SELECT answer FROM requests WHERE key = 'first'")
    forged = re.sub(r"\b[12]\b", str(id), answer)
    ground.write("UPDATE requests SET answer = :answer WHERE key = 'first'", answer=forged)


@deed("changes the counts of a day that is sealed")
def _counts_of_before(ground: Ground) -> None:
    ground.write("UPDATE counts SET times = times + 1 WHERE day = (SELECT min(day) FROM counts)")


@deed("changes the counts of today")
def _counts_of_today(ground: Ground) -> None:
    ground.write("UPDATE counts SET times = times + 1 WHERE day = (SELECT max(day) FROM counts) AND kind = 'hit'")


@deed("removes the record of a hit")
def _hit(ground: Ground) -> None:
    ground.write("DELETE FROM hits")


@deed("exchanges the names of two members")
def _names(ground: Ground) -> None:
    for now, then in (("Alpha Video", "x"), ("Beta Photos", "Alpha Video"), ("x", "Beta Photos")):
        ground.write("UPDATE members SET name = :then WHERE name = :now", now=now, then=then)


@deed("changes what no event records of a contribution: removal time, entity, incident, context, reference")
def _unrecorded(ground: Ground) -> None:
    ground.write("UPDATE contributions SET removed_at = removed_at - 1, entity = 'x', reference = 'y' WHERE id = 1")


@deed("leaves a contribution out of the answer to a match, or adds one")
def _match(ground: Ground) -> None:
    """By a program that answers otherwise: here, a layer around the real one."""
    inner = ground.service.app.wsgi_app

    def bent(environ: Any, start: Any) -> Any:
        said = json.loads(b"".join(inner(environ, start)))
        for result in said["results"]:
            result["matches"] = [match for match in result["matches"] if match["contribution"] != 1]
        return [json.dumps(said).encode()]

    with ground.answering(bent):
        assert ground.ask() == []
    # The member's own copy shows it.
    assert [match.contribution for match in ground.copy.match([query(signal(1))]).results[0].matches] == [1]


@deed("answers a match without counting it")
def _uncounted(ground: Ground) -> None:
    ground.beta.matched(str(signal(1)))
    ground.db.stats.take()
    counts.flush(ground.db)


@deed("answers a contribution or a withdrawal, and stores nothing")
def _swallow(ground: Ground) -> None:
    """The answer is of a service that nobody else sees."""
    with service_at(None) as other:
        other.clock.go(days=1)
        member = other.caller(Scope.CONTRIBUTE, Scope.MATCH)
        assert member.contribute(item(9))[0]["status"] == "active"
    assert ground.beta.matched(str(signal(9))) == []


@deed("shows a reader only what is older: withholds the newest events, checkpoints or roots")
def _older(ground: Ground) -> None:
    """By a program that answers from a copy; what it signed before verifies."""
    note = checkpoints.latest(ground.db)
    with ground.answering(Response(note)):
        ground.service.clock.go(hours=1)
        assert ground.service.anonymous.get("/v1/checkpoint").text == note
    assert read_checkpoint(note, checkpoints.log(ground.db).verifiers)[0].size == ground.head


@deed("publishes an event late")
def _late(ground: Ground) -> None:
    """The request waited for an hour; the event says when it was written."""
    ground.service.clock.go(hours=1)
    ground.alpha.contribute(item(8))


@deed("writes an event in the name of a member's key")
def _in_its_name(ground: Ground) -> None:
    """Whoever has the program needs no secret of a key."""
    contributions.withdraw(ground.db, members.authenticate(ground.db, ground.alpha.secret or ""), 1, "other")


@deed("adds a member, and contributes or confirms by it")
def _member(ground: Ground) -> None:
    ground.service.caller(Scope.CONTRIBUTE).contribute(item(10))


@deed("adds a benign entry close to a signal, which then matches nothing")
def _benign(ground: Ground) -> None:
    benign.add(ground.db, COMMAND_LINE, BenignDraft((signal(1),), note="a splash screen"))
    assert ground.ask() == []


@deed("suppresses a signal by a row, as if it were close to a benign entry")
def _mask(ground: Ground) -> None:
    where = "WHERE contribution_id = 1 AND position = 0"
    ground.write(f"INSERT INTO masks SELECT contribution_id, position, algorithm, value, 1 FROM signals {where}")
    ground.write(f"DELETE FROM signals {where}")


@deed("refuses the requests of a member")
def _refusal(ground: Ground) -> None:
    """By its program: nothing is written."""
    with ground.answering(Response(status=503)):
        assert ground.beta.get("/v1/me").status_code == 503


@deed("keeps the hashes or the salt of a contribution that was erased")
def _erased(ground: Ground) -> None:
    (salt,) = ground.kept
    assert salt and salt not in ground.read("SELECT salt FROM contributions")


@deed("reads everything that is stored, and hands it on")
def _reading(ground: Ground) -> None:
    assert len(ground.read("SELECT value FROM signals")) >= 4
