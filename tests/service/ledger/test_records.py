"""The tables beside the log: verification reports edited rows, and nothing after normal use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.ledger.records import FIELDS
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.ledger.records import wrong_commitments
from hashdb.service.ledger.signing import Signing
from hashdb.service.ledger.verification import verify
from hashdb.service.review import opinions
from hashdb.store import Transaction
from tests import schemas
from tests.builders import NOON, contributed, draft
from tests.conftest import BOTH
from tests.service.pages import follow_page
from tests.service.scenes import DISPUTES, Scene


class FollowingScene(Scene):
    """A scene that also follows a list. The list is added last."""

    def _fill(self, alpha: Actor, beta: Actor, gamma: Actor) -> None:
        super()._fill(alpha, beta, gamma)
        follow_page(self.db)


@pytest.fixture(scope="module", params=BOTH)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    with ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{folder / 'hashdb.sqlite'}"
            schemas.make(url)
        else:
            server = request.getfixturevalue("postgres")
            url = stack.enter_context(server.new_database(request.getfixturevalue("postgres_template")))
        scene = FollowingScene(url, Signing(folder / "signing.key", folder / "checkpoints.txt", "log.example/1"))
        stack.callback(scene.close)
        yield scene


def test_verification_finds_nothing_in_a_service_that_was_used(scene: Scene) -> None:
    assert scene.findings() == []
    assert all(list(scene.records.ids(kind)) for kind in FIELDS if kind != "verification")
    assert verify(scene.db, COMMAND_LINE).findings == ()


CHANGED = [
    ("contributions SET announced = 'active' WHERE id = 2", "contribution 2, status", "withdrawn", "active"),
    ("contributions SET announced = 'active' WHERE id = 11", "contribution 11, status", "expired", "active"),
    ("contributions SET announced = 'active' WHERE id = 12", "contribution 12, status", "suspended", "active"),
    ("contributions SET announced = 'withdrawn' WHERE id = 1", "contribution 1, status", "active", "withdrawn"),
    ("contributions SET withdrawn_at = NULL WHERE id = 2", "contribution 2, withdrawn", "yes", "no"),
    ("contributions SET withdrawn_at = 1 WHERE id = 1", "contribution 1, withdrawn", "no", "yes"),
    (
        "contributions SET withdrawal_reason = 'other' WHERE id = 2",
        "contribution 2, reason",
        "removal_reversed",
        "other",
    ),
    ("contributions SET expires_at = NULL WHERE id = 11", "contribution 11, expired", "yes", "no"),
    ("contributions SET expires_at = 4611686018427387904 WHERE id = 11", "contribution 11, expired", "yes", "no"),
    ("contributions SET standing = 'unreviewed' WHERE id = 4", "contribution 4, standing", "retired", "unreviewed"),
    ("contributions SET standing = 'retired' WHERE id = 1", "contribution 1, standing", "unreviewed", "retired"),
    ("contributions SET erased_at = NULL WHERE id = 3", "contribution 3, erased", "yes", "no"),
    ("contributions SET erased_at = 1 WHERE id = 1", "contribution 1, erased", "no", "yes"),
    ("contributions SET member_id = 2 WHERE id = 1", "contribution 1, member", "1", "2"),
    ("contributions SET labels = ' a b ' WHERE id = 1", "contribution 1, labels", "recruitment", "a b"),
    ("contributions SET labels = '' WHERE id = 6", "contribution 6, labels", "glorification", "none"),
    ("contributions SET severity = 1 WHERE id = 1", "contribution 1, severity", "4", "1"),
    ("contributions SET severity = NULL WHERE id = 11", "contribution 11, severity", "1", "none"),
    ("contributions SET basis = 'x' WHERE id = 1", "contribution 1, basis", "terms", "x"),
    ("contributions SET media = 'video' WHERE id = 1", "contribution 1, media", "image", "video"),
    ("members SET status = 'active' WHERE id = 3", "member 3, status", "suspended", "active"),
    ("members SET kind = 'operator' WHERE id = 3", "member 3, kind", "authority", "operator"),
    ("keys SET revoked_at = NULL WHERE id = 5", "key 5, revoked", "yes", "no"),
    ("keys SET revoked_at = 1 WHERE id = 1", "key 1, revoked", "no", "yes"),
    ("keys SET scopes = ' admin match ' WHERE id = 4", "key 4, scopes", "match", "admin match"),
    ("keys SET expires_at = NULL WHERE id = 4", "key 4, expires_at", "2026-11-20T13:00:00.000000Z", "none"),
    ("keys SET expires_at = 0 WHERE id = 1", "key 1, expires_at", "none", "1970-01-01T00:00:00.000000Z"),
    ("keys SET hides_distances = FALSE WHERE id = 4", "key 4, hides_distances", "yes", "no"),
    ("keys SET member_id = 1 WHERE id = 4", "key 4, member", "2", "1"),
    ("users SET role = 'admin' WHERE id = 1", "user 1, role", "auditor", "admin"),
    ("users SET status = 'active' WHERE id = 1", "user 1, status", "disabled", "active"),
    ("cases SET decision = 'uphold' WHERE id = 1", "case 1, decision", "retire", "uphold"),
    ("cases SET decision = 'uphold' WHERE id = 2", "case 2, decision", "none", "uphold"),
    ("cases SET decided_by = 'key:1' WHERE id = 1", "case 1, decided_by", "system:cli", "key:1"),
    ("cases SET reason = 'flood' WHERE id = 1", "case 1, reason", "other", "flood"),
    ("cases SET follows = 2 WHERE id = 1", "case 1, follows", "none", "2"),
    ("cases SET shadow = ' 0 1 ' WHERE id = 1", "case 1, shadow", "0", "0 1"),
    ("cases SET shadow = ' 0 ' WHERE id = 2", "case 2, shadow", "none", "0"),
    ("cases SET holds = TRUE WHERE id = 2", "case 2, holds", "no", "yes"),
    ("opinions SET silent = TRUE WHERE id = 2", "opinion 2, silent", "no", "yes"),
    ("cases SET contribution_id = 1 WHERE id = 1", "case 1, contribution", "4", "1"),
    ("opinions SET opinion = 'confirms' WHERE id = 1", "opinion 1, opinion", "disputes", "confirms"),
    ("opinions SET reason = 'x' WHERE id = 1", "opinion 1, reason", "other", "x"),
    ("opinions SET case_id = 2 WHERE id = 1", "opinion 1, case", "1", "2"),
    ("opinions SET member_id = 1 WHERE id = 1", "opinion 1, member", "2", "1"),
    ("opinions SET contribution_id = 1 WHERE id = 1", "opinion 1, contribution", "4", "1"),
    ("opinions SET replaced = TRUE WHERE id = 3", "opinion 3, replaced", "no", "yes"),
    ("benign SET deleted_at = 1 WHERE id = 1", "benign 1, deleted", "no", "yes"),
    ("benign SET deleted_at = NULL WHERE id = 2", "benign 2, deleted", "yes", "no"),
    ("benign SET built_in = 'two' WHERE id = 1", "benign 1, built_in", "one", "two"),
    ("incidents SET label = 'CI:y'", "incident 1, label", "CI:x", "CI:y"),
    ("incidents SET expires = FALSE", "incident 1, expires", "yes", "no"),
    ('incidents SET "end" = NULL', "incident 1, end", "2026-11-20T13:00:00.000000Z", "none"),
    ("incidents SET start = 0", "incident 1, start", "2026-11-20T12:00:00.000000Z", "1970-01-01T00:00:00.000000Z"),
    ("proposals SET person = 'member:1'", "proposal 1, person", "member:2", "member:1"),
    ("proposals SET actor = 'key:1'", "proposal 1, actor", "key:6", "key:1"),
    ("proposals SET subject_id = 2", "proposal 1, subject", "member:1", "member:2"),
    ("proposals SET act = 'benign.add'", "proposal 1, act", "member.suspend", "benign.add"),
    ("webhooks SET member_id = 2", "webhook 1, member", "1", "2"),
    ("upstreams SET member_id = 1", "upstream 1, member", "4", "1"),
    ("seeds SET retired_at = NULL WHERE id = 1", "seed 1, retired", "yes", "no"),
]


@pytest.mark.parametrize(("change", "name", "logged", "stored"), CHANGED, ids=[change for change, *_ in CHANGED])
def test_a_changed_row_is_reported_with_the_value_in_the_log(
    scene: Scene, change: str, name: str, logged: str, stored: str
) -> None:
    assert scene.findings(f"UPDATE {change}") == [f"{name}: the log says {logged}, the table {stored}"]


def test_every_field_is_changed_by_a_test() -> None:
    changed_here = {(name.split()[0], name.split()[-1]) for _, name, *_ in CHANGED}
    fields = {(kind, field) for kind, names in FIELDS.items() for field in names}
    changed_elsewhere = {("benign", "algorithms"), ("benign", "signals"), ("key", "secret"), ("seed", "secret")}
    # tests/service/test_columns.py changes these.
    changed_elsewhere |= {("user", name) for name in ("password", "second_factor")}
    changed_elsewhere |= {("verification", name) for name in FIELDS["verification"]}
    changed_elsewhere.add(("contribution", "commitment"))
    assert fields - changed_here == changed_elsewhere


@pytest.mark.parametrize(
    ("value", "source"), [("NULL", None), ("(SELECT c.commitment FROM contributions AS c WHERE c.id = 2)", 2)]
)
def test_a_changed_commitment_is_reported_with_the_one_in_the_log(scene: Scene, value: str, source: int | None) -> None:
    logged, other = (scene.records.record("contribution", id)[-1] for id in (1, 2))
    assert isinstance(logged, str) and len(logged) == 64 and logged != other
    (finding,) = scene.findings(f"UPDATE contributions SET commitment = {value} WHERE id = 1")
    stored = "none" if source is None else other
    assert finding == f"contribution 1, commitment: the log says {logged}, the table {stored}"


NOT_COMMITTED = "signals: they do not match the commitment in the log"
FORGED_SIGNALS = [
    (
        "UPDATE signals SET value = (SELECT s.value FROM signals AS s WHERE s.contribution_id = 2) WHERE",
        1,
        NOT_COMMITTED,
    ),
    ("DELETE FROM signatures WHERE", 12, NOT_COMMITTED),
    ("UPDATE shots SET start = start + 1 WHERE", 13, NOT_COMMITTED),
    ("UPDATE shots SET unit = 'x' WHERE", 13, NOT_COMMITTED),
    ("DELETE FROM shots WHERE", 13, NOT_COMMITTED),
    ("UPDATE contributions SET salt = NULL WHERE", 1, "salt: missing; its signals cannot be checked against the log"),
    (
        "UPDATE contributions SET salt = commitment WHERE",
        3,
        "salt: the contribution is erased but its salt is not; restart the",
    ),
]


@pytest.mark.parametrize(
    ("statement", "id", "reason"), FORGED_SIGNALS, ids=[statement for statement, *_ in FORGED_SIGNALS]
)
def test_signals_that_do_not_fit_the_commitment_are_reported(
    scene: Scene, statement: str, id: int, reason: str
) -> None:
    key = "id" if " contributions " in statement else "contribution_id"
    with scene.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(text(f"{statement} {key} = {id}"))
        (finding,) = wrong_commitments(Transaction(connection), lambda count: None)
        transaction.rollback()
    assert finding.startswith(f"contribution {id}, {reason}")
    with scene.db.store.read() as tx:
        assert list(wrong_commitments(tx, lambda count: None)) == []


@pytest.mark.parametrize(
    ("statement", "id"),
    [
        ("UPDATE contributions SET salt = 'x' WHERE id = 1", 1),
        ("UPDATE contributions SET commitment = 7 WHERE id = 1", 1),
        ("UPDATE contributions SET frame_count = 'x', salt = 7 WHERE id = 13", 13),
        ("UPDATE signals SET value = 7 WHERE contribution_id = 1 AND position = 0", 1),
        ("UPDATE signals SET position = 'x' WHERE contribution_id = 1 AND position = 0", 1),
        ("UPDATE shots SET start = 'x' WHERE contribution_id = 13", 13),
    ],
)
def test_values_of_wrong_types_are_reported_and_do_not_stop_the_check(scene: Scene, statement: str, id: int) -> None:
    if scene.db.store.embedded:
        with scene.engine.connect() as connection, connection.begin() as transaction:
            connection.execute(text(statement))
            (finding,) = wrong_commitments(Transaction(connection), lambda count: None)
            transaction.rollback()
        assert finding.startswith(f"contribution {id}, ")


REMOVED = {
    "contribution 6": ("signals WHERE contribution_id = 6", "contributions WHERE id = 6"),
    "key 6": ("keys WHERE id = 6",),
    "user 1": ("users",),
    "opinion 1": ("opinions WHERE id = 1",),
    "case 1": ("opinions WHERE case_id = 1", "cases WHERE id = 1"),
    "benign 2": ("benign_signals WHERE benign_id = 2", "benign WHERE id = 2"),
    "incident 1": ("incidents",),
    "proposal 1": ("proposals",),
    "webhook 1": ("webhook_topics", "deliveries", "webhooks"),
}


@pytest.mark.parametrize("name", REMOVED)
def test_a_removed_row_is_reported(scene: Scene, name: str) -> None:
    findings = scene.findings(*(f"DELETE FROM {rows}" for rows in REMOVED[name]))
    assert f"{name}: the log says that it was added, but the table does not have it" in findings


ADDED = {
    "contribution 77": "contributions (id, member_id, received_at, labels, media, context, standing, announced)"
    " SELECT 77, member_id, received_at, labels, media, context, standing, announced FROM contributions WHERE id = 1",
    "contribution 0": "contributions (id, member_id, received_at, labels, media, context, standing, announced)"
    " SELECT 0, member_id, received_at, labels, media, context, standing, announced FROM contributions WHERE id = 1",
    "member 77": "members (id, name, kind, status, contact, created_at) VALUES (77, 'x', 'platform', 'active', '', 0)",
    "user 77": "users (id, name, role, status, provisional, step, recovery, created_at)"
    " SELECT 77, 'x', 'admin', 'active', provisional, step, recovery, created_at FROM users",
    "case 77": "cases (id, contribution_id, reason, holds, opened_at, due_at) VALUES (77, 1, 'flood', TRUE, 0, 0)",
    "opinion 77": "opinions (id, contribution_id, member_id, opinion, given_at, replaced, silent)"
    " VALUES (77, 1, 2, 'disputes', 0, FALSE, FALSE)",
    "benign 77": "benign (id, note, created_at, settled) VALUES (77, '', 0, TRUE)",
    "incident 77": "incidents (id, label, start, expires, settled) VALUES (77, 'x', 0, TRUE, TRUE)",
    "proposal 77": "proposals (id, act, subject_kind, subject_id, content, actor, person, proposed_at, expires_at)"
    " SELECT 77, act, subject_kind, subject_id, content, actor, 'x', proposed_at, expires_at FROM proposals",
    "webhook 77": "webhooks (id, member_id, url, note, enabled, secret, created_at)"
    " VALUES (77, 1, 'https://x.example', '', TRUE, 'x', 0)",
}


@pytest.mark.parametrize("name", ADDED)
def test_a_row_without_an_event_is_reported(scene: Scene, name: str) -> None:
    assert scene.findings(f"INSERT INTO {ADDED[name]}") == [f"{name}: it is in the table, but no event added it"]


def test_a_key_without_an_event_is_reported(scene: Scene, tmp_path: Path) -> None:
    columns = "member_id, scopes, created_at, expires_at, revoked_at, hides_distances"
    digest = "x'00'" if scene.db.store.embedded else "'\\x00'::bytea"
    statement = f"INSERT INTO keys (id, digest, {columns}) SELECT 77, {digest}, {columns} FROM keys WHERE id = 1"
    assert scene.findings(statement) == ["key 77: it is in the table, but no event added it"]


def test_removed_and_changed_benign_signals_are_reported(scene: Scene) -> None:
    assert scene.findings("DELETE FROM benign_signals WHERE benign_id = 1 AND position = 0") == [
        "benign 1, signals: the log says 2, the table 1"
    ]
    assert scene.findings("UPDATE benign_signals SET algorithm = 'phash' WHERE benign_id = 1") == [
        "benign 1, algorithms: the log says pdq, the table phash"
    ]


def test_the_first_of_many_equal_findings_is_reported_with_a_count(scene: Scene) -> None:
    assert scene.findings("UPDATE contributions SET standing = 'x', media = 'video' WHERE media = 'image'") == [
        "contribution 1, standing: the log says unreviewed, the table x (and 11 more like it)",
        "contribution 1, media: the log says image, the table video (and 11 more like it)",
    ]


def test_a_forged_value_is_reported_with_escaped_control_characters(scene: Scene) -> None:
    (finding,) = scene.findings("UPDATE incidents SET label = 'a\n\x1b[31m'")
    assert finding == "incident 1, label: the log says CI:x, the table 'a\\n\\x1b[31m'"
    (finding,) = scene.findings(f"UPDATE cases SET reason = '{'y' * 60}' WHERE id = 1", "DELETE FROM webhook_topics")
    assert finding.endswith("the table " + "y" * 60)


@pytest.mark.parametrize("scene", ["sqlite"], indirect=True)
def test_a_value_of_a_wrong_type_is_reported_in_a_short_line(scene: Scene) -> None:
    for value in ("'x'", "x'ff'", "1.5", f"'{'y' * 200}'", "9e99"):
        for column in ("severity", "labels", "standing", "announced", "member_id"):
            (finding,) = scene.findings(f"UPDATE contributions SET {column} = {value} WHERE id = 1")
            assert finding.startswith("contribution 1, ") and len(finding) < 160


def test_a_pending_expiry_is_not_reported_before_its_event(scene: Scene) -> None:
    assert scene.findings("UPDATE contributions SET expires_at = 1 WHERE id = 1") == []
    # A logged expiry is not reported either if the clock of this machine is behind the clock that logged it.
    assert scene.findings(now=NOON - timedelta(days=1)) == []


def test_a_verification_reports_a_changed_table_of_a_valid_log(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1), draft(2))
    counts: list[int] = []
    with db.store.begin() as tx:
        tx.statuses.set_standing([2], Standing.RETIRED)
    verdict = verify(db, COMMAND_LINE, counts.append)
    assert list(map(str, verdict.findings)) == ["contribution 2, standing: the log says unreviewed, the table retired"]
    assert (verdict.findings[0].first, sum(counts), 0 in counts) == (None, db.store.head().seq, True)


def test_an_event_with_malformed_details_is_reported(db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    with db.store.begin() as tx:
        tx.audit.append(NOON, COMMAND_LINE, [LogEntry(Action.MEMBER_ADDED, "member", 9, [])])  # type: ignore[arg-type]
    (finding,) = verify(db, COMMAND_LINE).findings
    assert str(finding) == f"event {db.store.head().seq}: has malformed details"


def test_a_verification_during_use_finds_nothing(db: HashDB, actor: Actor, other: Actor) -> None:
    stop = threading.Event()
    used_seeds: list[int] = []

    def use() -> None:
        for seed in range(100, 10_000):
            if stop.is_set():
                return
            (withdrawn, disputed) = contributed(db, actor, draft(seed), draft(seed + 10_000))
            contributions.withdraw(db, actor, withdrawn.id, "other")
            opinions.give(db, other, disputed.id, DISPUTES)
            used_seeds.append(seed)

    user = threading.Thread(target=use)
    user.start()
    try:
        while len(used_seeds) < 3:
            assert verify(db, COMMAND_LINE).findings == ()
        assert verify(db, COMMAND_LINE).findings == ()
    finally:
        stop.set()
        user.join()
    assert verify(db, COMMAND_LINE).findings == ()
