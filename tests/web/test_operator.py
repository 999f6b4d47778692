"""Each action of a dishonest operator in docs/audit.md is done here, and is found by what that page says."""

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
from hashdb.monitor.monitor import Monitor, MonitorPlan
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
ACTIONS: dict[str, Callable[[Scene], None]] = {}
"""The function that does each action, by the words of the page."""


def _listed_actions() -> dict[str, str]:
    """Each action on the page, and the cell that says what finds it."""
    section = PAGE.read_text("utf-8").partition("## What the operator with every key still can do\n")[2]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.*?) ?\|$", section.partition("\n## ")[0], re.MULTILINE)
    return {action: finders for action, finders, _ in rows[2:]}


class Scene:
    """A service with two members, and an operator who has its database, its keys and its program."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service, self.db = service, service.db
        checkpoints.start(self.db)
        self.alpha = service.caller(Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED, name="Alpha Video")
        self.beta = service.caller(Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED, name="Beta Photos")
        benign.add(self.db, COMMAND_LINE, BenignDraft((signal(99),), note="a splash screen"))
        self.alpha.contribute(*map(item, (1, 2, 3)))
        self.beta.contribute(item(4))
        (erased,) = self.beta.contribute(item(5))
        self.erased_salts = self.read(f"SELECT salt FROM contributions WHERE id = {erased['id']}")
        contributions.erase(self.db, members.authenticate(self.db, self.beta.secret or ""), erased["id"])
        self.beta.post("/v1/contributions/1/opinions", {"opinion": "confirms"})
        users.add(self.db, COMMAND_LINE, UserDraft("ada", Role.ADMIN), PASSWORD)
        sessions.sign_in(self.db, "ada", PASSWORD, "office")
        self.match()
        service.clock.advance(days=1)
        counts.seal(self.db)
        self.alpha.contribute(item(1), item(2), headers={"Idempotency-Key": "first"})
        self.match()
        self.copy = LocalIndex(folder / "copy", clock=service.clock)
        self.beta_client = Client("http://hashdb.test", self.beta.secret or "", transport=self._wire)
        self.copy.sync(self.beta_client)
        secret = service.caller(Scope.FEED, Scope.AUDIT).secret or ""
        self.monitor_client = Client("http://hashdb.test", secret, transport=self._wire)
        self.monitor = Monitor(folder, self.monitor_client, MonitorPlan(), service.clock)

    @property
    def _wire(self) -> httpx.WSGITransport:
        return httpx.WSGITransport(self.service.app)

    def close(self) -> None:
        self.monitor.close()
        self.copy.close()
        self.monitor_client.close()
        self.beta_client.close()

    def match(self) -> list[int]:
        """The matches that the other member gets for the signal of the first contribution."""
        matches = self.beta.matched(str(signal(1)))
        counts.flush(self.db)
        return matches

    def write(self, statement: str, **values: Any) -> None:
        """Change the database by an SQL statement."""
        engine = create_engine(self.service.url)
        with engine.begin() as connection:
            assert connection.execute(text(statement), values).rowcount
        engine.dispose()

    def read(self, statement: str) -> list[Any]:
        """The first column of the result of an SQL statement."""
        engine = create_engine(self.service.url)
        with engine.connect() as connection:
            values = list(connection.execute(text(statement)).scalars())
        engine.dispose()
        return values

    @contextmanager
    def served_by(self, app: Any) -> Iterator[None]:
        """Let another program answer instead of the service, for the length of the block."""
        inner = self.service.app.wsgi_app
        self.service.app.wsgi_app = app  # type: ignore[method-assign]
        yield
        self.service.app.wsgi_app = inner  # type: ignore[method-assign]

    @property
    def head(self) -> int:
        return self.db.store.head().seq

    def findings(self) -> list[str]:
        """The findings of `hashdb audit verify --signals`."""
        return list(map(str, verification.verify(self.db, COMMAND_LINE, signals=True).findings))

    def alarms(self) -> list[str]:
        """The alarms of a member's monitor in the next half minute, while the service works as usual."""
        for _ in range(3):
            self.service.clock.advance(seconds=10)
            active_set.keep(self.db, at_once=True)
            checkpoints.keep(self.db, at_once=True)
            if alarms := self.monitor.check(whole=True):
                return [alarm.what for alarm in alarms]
        return []


@pytest.fixture
def scene(service: Service, tmp_path: Path) -> Iterator[Scene]:
    """A new scene for each test."""
    scene = Scene(service, tmp_path)
    yield scene
    scene.close()


def action(words: str) -> Callable[[Callable[[Scene], None]], Callable[[Scene], None]]:
    """Register a function as the action that the page describes in these words."""

    def register(do: Callable[[Scene], None]) -> Callable[[Scene], None]:
        ACTIONS[words] = do
        return do

    return register


@pytest.mark.parametrize("words", _listed_actions())
def test_each_action_is_found_by_what_the_page_says(scene: Scene, words: str) -> None:
    assert scene.findings() == scene.alarms() == []
    finders, before = _listed_actions()[words], scene.head
    ACTIONS[words](scene)
    assert (scene.head > before) == (EVENT in finders), "whether the log has an event of it"
    findings = scene.findings()
    assert bool(findings) == (VERIFY in finders), findings
    alarms = scene.alarms()
    assert bool(alarms) == (MONITOR in finders), alarms


def test_the_page_lists_every_action() -> None:
    assert list(_listed_actions()) == list(ACTIONS)


@action("begins a session of the console by a row")
def _insert_session(scene: Scene) -> None:
    scene.write(
        "INSERT INTO sessions (user_id, digest, complete, created_at, seen_at)"
        " SELECT user_id, :digest, complete, created_at, seen_at FROM sessions",
        digest=hashlib.sha256(b"mine").digest(),
    )


@action("signs in as a user, with a new password")
def _sign_in_as_user(scene: Scene) -> None:
    password = users.reset(scene.db, COMMAND_LINE, 1).password
    assert password
    sessions.sign_in(scene.db, "ada", password, "office")


@action("replaces the digest of a key's secret")
def _replace_key_digest(scene: Scene) -> None:
    scene.write("UPDATE keys SET digest = :digest WHERE id = :id", digest=bytes(32), id=scene.alpha.key)


@action("gives a key more scopes")
def _add_scopes(scene: Scene) -> None:
    scene.write("UPDATE keys SET scopes = :scopes WHERE id = :id", scopes='["admin"]', id=scene.alpha.key)


@action("hides the distances from a key")
def _hide_distances(scene: Scene) -> None:
    scene.write("UPDATE keys SET hides_distances = 1 WHERE id = :id", id=scene.beta.key)


@action("silences an opinion by its flag")
def _silence_opinion(scene: Scene) -> None:
    scene.write("UPDATE opinions SET silent = 1")


@action("hides a contribution by its status or standing")
def _hide_contribution(scene: Scene) -> None:
    scene.write("UPDATE contributions SET standing = 'quarantined' WHERE id = 2")


@action("changes the log's epoch")
def _change_epoch(scene: Scene) -> None:
    scene.write("UPDATE log SET epoch = 'another'")


@action("forges a kept answer to a repeated request, with another member's contribution")
def _forge_answer_with_contribution_of_another_member(scene: Scene) -> None:
    _forge_answer(scene, 4)


@action("forges it with another contribution of the same member")
def _forge_answer_with_contribution_of_same_member(scene: Scene) -> None:
    _forge_answer(scene, 3)
    answer = scene.alpha.contribute(item(1), item(2), headers={"Idempotency-Key": "first"})
    assert [contribution["id"] for contribution in answer] == [3, 3]


def _forge_answer(scene: Scene, id: int) -> None:
    (answer,) = scene.read("SELECT answer FROM requests WHERE key = 'first'")
    forged = re.sub(r"\b[12]\b", str(id), answer)
    scene.write("UPDATE requests SET answer = :answer WHERE key = 'first'", answer=forged)


@action("changes the counts of a day that is sealed")
def _change_sealed_counts(scene: Scene) -> None:
    scene.write("UPDATE counts SET times = times + 1 WHERE day = (SELECT min(day) FROM counts)")


@action("changes the counts of today")
def _change_counts_of_today(scene: Scene) -> None:
    scene.write("UPDATE counts SET times = times + 1 WHERE day = (SELECT max(day) FROM counts) AND kind = 'hit'")


@action("removes the record of a hit")
def _remove_hits(scene: Scene) -> None:
    scene.write("DELETE FROM hits")


@action("exchanges the names of two members")
def _exchange_member_names(scene: Scene) -> None:
    for now, then in (("Alpha Video", "x"), ("Beta Photos", "Alpha Video"), ("x", "Beta Photos")):
        scene.write("UPDATE members SET name = :then WHERE name = :now", now=now, then=then)


@action("changes values of a contribution that no event records: removal time, entity, incident, context, reference")
def _change_unrecorded_fields(scene: Scene) -> None:
    scene.write("UPDATE contributions SET removed_at = removed_at - 1, entity = 'x', reference = 'y' WHERE id = 1")


@action("leaves a contribution out of the answer to a match, or adds one")
def _change_match_answer(scene: Scene) -> None:
    """The operator changes the program; here a layer around the real one changes the answer."""
    inner = scene.service.app.wsgi_app

    def altered(environ: Any, start: Any) -> Any:
        answer = json.loads(b"".join(inner(environ, start)))
        for result in answer["results"]:
            result["matches"] = [match for match in result["matches"] if match["contribution"] != 1]
        return [json.dumps(answer).encode()]

    with scene.served_by(altered):
        assert scene.match() == []
    # The member's own copy still has the match.
    assert [match.contribution for match in scene.copy.match([query(signal(1))]).results[0].matches] == [1]


@action("answers a match without counting it")
def _match_without_counting(scene: Scene) -> None:
    scene.beta.matched(str(signal(1)))
    scene.db.stats.take()
    counts.flush(scene.db)


@action("answers a contribution or a withdrawal, and stores nothing")
def _answer_without_storing(scene: Scene) -> None:
    """The answer comes from a second service that nobody else sees."""
    with service_at(None) as other:
        other.clock.advance(days=1)
        member = other.caller(Scope.CONTRIBUTE, Scope.MATCH)
        assert member.contribute(item(9))[0]["status"] == "active"
    assert scene.beta.matched(str(signal(9))) == []


@action("shows a reader an older state: withholds the newest events, checkpoints or roots")
def _show_older_state(scene: Scene) -> None:
    """The program answers from a copy. The earlier checkpoint still verifies."""
    note = checkpoints.latest(scene.db)
    with scene.served_by(Response(note)):
        scene.service.clock.advance(hours=1)
        assert scene.service.anonymous.get("/v1/checkpoint").text == note
    assert read_checkpoint(note, checkpoints.log(scene.db).verifiers)[0].size == scene.head


@action("publishes an event late")
def _publish_late(scene: Scene) -> None:
    """The request waits for an hour; the event has the time at which it was written."""
    scene.service.clock.advance(hours=1)
    scene.alpha.contribute(item(8))


@action("writes an event in the name of a member's key")
def _write_in_name_of_member(scene: Scene) -> None:
    """The operator who has the program needs no secret of a key."""
    contributions.withdraw(scene.db, members.authenticate(scene.db, scene.alpha.secret or ""), 1, "other")


@action("adds a member, and contributes or confirms by it")
def _add_member(scene: Scene) -> None:
    scene.service.caller(Scope.CONTRIBUTE).contribute(item(10))


@action("adds a benign entry close to a signal, which then matches nothing")
def _add_benign_entry(scene: Scene) -> None:
    benign.add(scene.db, COMMAND_LINE, BenignDraft((signal(1),), note="a splash screen"))
    assert scene.match() == []


@action("suppresses a signal by a row, as if it were close to a benign entry")
def _suppress_signal(scene: Scene) -> None:
    where = "WHERE contribution_id = 1 AND position = 0"
    scene.write(f"INSERT INTO masks SELECT contribution_id, position, algorithm, value, 1 FROM signals {where}")
    scene.write(f"DELETE FROM signals {where}")


@action("refuses the requests of a member")
def _reject_requests(scene: Scene) -> None:
    """The changed program rejects the requests and writes nothing."""
    with scene.served_by(Response(status=503)):
        assert scene.beta.get("/v1/me").status_code == 503


@action("keeps the hashes or the salt of a contribution that was erased")
def _keep_erased_salt(scene: Scene) -> None:
    (salt,) = scene.erased_salts
    assert salt and salt not in scene.read("SELECT salt FROM contributions")


@action("reads all stored data, and gives it to others")
def _read_signals(scene: Scene) -> None:
    assert len(scene.read("SELECT value FROM signals")) >= 4
