"""The active set: its root is logged soon after each change, and stands for the state after the event it covers."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberChange, MemberStatus, Scope
from hashdb.domain.contributions import Amendment
from hashdb.domain.ledger.active_set import EMPTY_BLOCK, EMPTY_HASH, BlockPlace, build, fold, leaf
from hashdb.domain.ledger.cosignatures import Cosigner, KeyType, SetRoot, cosigners
from hashdb.domain.ledger.events import Action, ContributionState, Detail, LogEntry
from hashdb.domain.ledger.notes import Verifier, read_note
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.domain.sharing.feed import Gone
from hashdb.errors import InvalidInput, NotFound, ScopeMissing, Unavailable
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.ledger import active_set, checkpoints
from hashdb.service.ledger.signing import Signing
from hashdb.service.ledger.verification import verify
from hashdb.service.review import cases, opinions
from hashdb.service.sharing import feed
from hashdb.store.ledger.active_set import SetState
from hashdb.store.tables import set_blocks, set_states
from tests.builders import NOON, Clock, contributed, draft, member_with
from tests.processes import processes


@pytest.fixture
def log(db: HashDB) -> Verifier:
    """Start the log, and return its key."""
    return checkpoints.start(db)


def leaves_from_events(db: HashDB, upto: int) -> dict[int, bytes]:
    """The leaves of all contributions that match after an event, computed from the events alone."""
    states: dict[int, ContributionState] = defaultdict(ContributionState)
    commitments: dict[int, bytes] = {}
    with db.store.read() as tx:
        for event in tx.audit.since(0, upto):
            if event.kind == "contribution":
                states[event.id] = states[event.id].after(event.action)
                if commitment := event.details.get("commitment"):
                    commitments[event.id] = bytes.fromhex(str(commitment))
    matching = {id: state for id, state in sorted(states.items()) if state.matches}
    return {id: leaf(id, state.standing, commitments.get(id)) for id, state in matching.items()}


def root_of(leaves: dict[int, bytes]) -> bytes:
    blocks = dict(build(leaves.items()))
    return fold(blocks[4, 0]) if blocks else EMPTY_HASH


def stored_blocks(db: HashDB) -> dict[BlockPlace, bytes]:
    with db.store.read() as tx:
        return dict(tx.active_set.every_block())


def quorum(*keys: object) -> Policy:
    """A policy that needs the signatures of all of these organisations."""
    names = [f"organisation{number}" for number, _ in enumerate(keys)]
    lines = [f"witness {name} {key}" for name, key in zip(names, keys, strict=True)]
    return Policy.parse("\n".join([*lines, f"group all all {' '.join(names)}", "quorum all"]))


def test_a_change_of_the_set_is_logged_with_the_new_root(db: HashDB, actor: Actor, log: Verifier) -> None:
    contributed(db, actor, draft(1), draft(2))
    covered = db.store.head().seq
    assert active_set.keep(db)
    known = active_set.get(db, actor)
    assert (known.seq, known.covers, known.count) == (covered + 1, covered, 2)
    assert known.root == root_of(leaves_from_events(db, covered)) != EMPTY_HASH
    with db.store.read() as tx:
        event = tx.audit.event(known.seq)
        assert tx.active_set.state() == SetState(covered, known.root, 2)
    assert (event.actor, event.action, event.subject) == ("system:hashdb", "set.committed", "set:1")
    assert event.details == {"root": known.root.hex(), "count": 2, "covers": covered}


def test_an_event_that_does_not_affect_the_set_causes_no_new_root(
    db: HashDB, clock: Clock, actor: Actor, log: Verifier
) -> None:
    (contribution,) = contributed(db, actor, draft(1))
    assert active_set.keep(db)
    clock.advance(minutes=1)
    assert not active_set.keep(db)
    member_with(db)
    contributions.amend(db, actor, contribution.id, Amendment(severity=3))
    assert not active_set.keep(db)
    assert active_set.get(db, actor).seq == db.store.head().seq - 3


def test_there_is_no_root_before_the_first_contribution(db: HashDB, actor: Actor, log: Verifier) -> None:
    assert not active_set.keep(db)
    with pytest.raises(NotFound, match=r"^a root of the active set does not exist$"):
        active_set.get(db, actor)
    with pytest.raises(NotFound):
        active_set.get_block(db, actor, 0, 0)


def test_a_root_is_recorded_at_most_every_50_seconds(db: HashDB, clock: Clock, actor: Actor, log: Verifier) -> None:
    contributed(db, actor, draft(1))
    assert active_set.keep(db)
    contributed(db, actor, draft(2))
    clock.advance(seconds=49)
    assert not active_set.keep(db)
    clock.advance(seconds=1)
    assert active_set.keep(db)
    contributed(db, actor, draft(3))
    assert not active_set.keep(db)
    assert active_set.keep(db, at_once=True)


def test_a_new_root_is_signed_at_once(db: HashDB, actor: Actor, log: Verifier) -> None:
    contributed(db, actor, draft(1))
    assert checkpoints.keep(db)
    contributed(db, actor, draft(2))
    assert not checkpoints.keep(db)
    assert active_set.keep(db)
    assert checkpoints.keep(db)
    assert not checkpoints.keep(db)


def test_the_set_equals_the_contributions_in_the_feed(
    db: HashDB, clock: Clock, actor: Actor, other: Actor, log: Verifier
) -> None:
    ended = draft(4, expires_at=NOON + timedelta(hours=1))
    ids = [item.id for item in contributed(db, actor, draft(1), draft(2), draft(3), ended, draft(5), draft(6))]
    of_suspended = contributed(db, other, draft(7))
    contributions.withdraw(db, actor, ids[0], "other")
    opinions.give(db, other, ids[1], OpinionDraft(Stance.DISPUTES, "other"))
    for id, decision in ((ids[2], Decision.QUARANTINE), (ids[4], Decision.RETIRE)):
        cases.decide(db, COMMAND_LINE, cases.open_case(db, COMMAND_LINE, id, "other", holds=False).id, decision)
    assert active_set.keep(db)
    clock.advance(hours=2)
    assert other.member is not None
    members.change(db, COMMAND_LINE, other.member.id, MemberChange(status=MemberStatus.SUSPENDED))
    contributions.emit_pending(db)
    assert active_set.keep(db)
    known = active_set.get(db, actor)
    assert known.root == root_of(leaves_from_events(db, known.covers))
    shown = {change.what.id for change in feed.read(db, actor, 0, 100).changes if not isinstance(change.what, Gone)}
    assert set(leaves_from_events(db, known.covers)) == shown == {ids[1], ids[5]}
    assert known.count == 2
    assert of_suspended[0].id not in shown


def test_after_random_changes_the_tree_equals_the_one_from_the_events(
    db: HashDB, clock: Clock, actor: Actor, log: Verifier
) -> None:
    rng = random.Random(80)
    ids: list[int] = []
    for step in range(12):
        drafts = [draft(100 * step + number) for number in range(rng.randint(1, 40))]
        ids += [item.id for item in contributed(db, actor, *drafts)]
        for id in rng.sample(ids, min(len(ids), 9)):
            contributions.withdraw(db, actor, id, "other")
            ids.remove(id)
        clock.advance(minutes=rng.choice((0, 1, 2)))
        active_set.keep(db)
    active_set.keep(db, at_once=True)
    known = active_set.get(db, actor)
    leaves = leaves_from_events(db, known.covers)
    assert (known.root, known.count) == (root_of(leaves), len(leaves))
    assert stored_blocks(db) == dict(build(leaves.items()))
    with db.store.read() as tx:
        roots = [event for event in tx.audit.since(0, 1_000) if event.action == "set.committed"]
    assert len(roots) > 3
    for event in roots:
        leaves = leaves_from_events(db, int(str(event.details["covers"])))
        assert event.details["root"] == root_of(leaves).hex()
        assert event.details["count"] == len(leaves)


def test_the_tree_of_an_old_database_is_built_in_steps(
    db: HashDB, actor: Actor, log: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = contributed(db, actor, *map(draft, range(30)))
    for contribution in added[3:20]:
        contributions.withdraw(db, actor, contribution.id, "other")
    monkeypatch.setattr(active_set, "_MOST_EVENTS", 7)
    monkeypatch.setattr(active_set, "_MOST_SECONDS", 0.0)
    monkeypatch.setattr(active_set, "monotonic", iter([0.0, -1.0, 1.0] * 100).__next__)
    steps = 0
    while not active_set.keep(db):
        steps += 1
        with db.store.read() as tx:
            assert 0 < tx.active_set.state().seq < tx.audit.head().seq
        assert steps < 50
    assert steps > 3
    known = active_set.get(db, actor)
    assert (known.count, known.root) == (13, root_of(leaves_from_events(db, known.covers)))
    assert known.seq == known.covers + 1


def test_a_large_change_is_recorded_in_steps_with_a_root_each(
    db: HashDB, clock: Clock, actor: Actor, log: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    contributed(db, actor, draft(1))
    active_set.keep(db)
    clock.advance(minutes=1)
    contributed(db, actor, *map(draft, range(2, 30)))
    monkeypatch.setattr(active_set, "_MOST_EVENTS", 10)
    assert active_set.keep(db)
    with db.store.read() as tx:
        roots = [event for event in tx.audit.since(0, 1_000) if event.action == "set.committed"]
    assert [event.details["count"] for event in roots] == [1, 11, 21, 29]
    for event in roots:
        assert event.details["root"] == root_of(leaves_from_events(db, int(str(event.details["covers"])))).hex()


def test_a_rebuilt_tree_does_not_record_an_older_root(
    db: HashDB, clock: Clock, actor: Actor, log: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = contributed(db, actor, *map(draft, range(9)))
    active_set.keep(db)
    for contribution in added:
        contributions.withdraw(db, actor, contribution.id, "other")
    active_set.keep(db, at_once=True)
    known = active_set.get(db, actor)
    assert known.root == EMPTY_HASH
    with db.store.begin() as tx:
        tx.connection.execute(set_blocks.delete())
        tx.connection.execute(set_states.delete())
    monkeypatch.setattr(active_set, "_MOST_EVENTS", 4)
    assert not active_set.keep(db, at_once=True)
    assert active_set.get(db, actor) == known


def test_events_that_do_not_affect_the_set_are_read_only_once(db: HashDB, actor: Actor, log: Verifier) -> None:
    contributed(db, actor, draft(1))
    active_set.keep(db)
    with db.store.begin() as tx:
        tx.audit.append(db.now(), COMMAND_LINE, [LogEntry(Action.FEED_READ, "key", 1, {})] * 1_001)
    head = db.store.head().seq
    assert not active_set.keep(db, at_once=True)
    with db.store.read() as tx:
        assert tx.active_set.state().seq == head


def test_a_root_that_another_process_recorded_is_not_recorded_again(
    database_url: str, db: HashDB, actor: Actor, log: Verifier
) -> None:
    contributed(db, actor, *map(draft, range(20)))
    with db.store.read() as tx:
        step = active_set._next_step(tx)
    assert step is not None
    assert active_set.keep(db)
    head = db.store.head().seq
    assert not active_set._store(db, step)
    assert db.store.head().seq == head


def test_processes_that_start_together_record_one_root(
    database_url: str, db: HashDB, actor: Actor, log: Verifier
) -> None:
    contributed(db, actor, *map(draft, range(5)))
    with processes(3) as pool:
        assert sum(pool.map(_keep_in_a_process, [database_url] * 3)) == 1
    known = active_set.get(db, actor)
    assert known.root == root_of(leaves_from_events(db, known.covers))


def test_a_returned_block_belongs_to_the_newest_root(db: HashDB, actor: Actor, log: Verifier) -> None:
    contributed(db, actor, draft(1))
    active_set.keep(db)
    known = active_set.get(db, actor)
    top = active_set.get_block(db, actor, 4, 0)
    assert (top.seq, top.level, top.number, fold(top.hashes)) == (known.seq, 4, 0, known.root)
    assert active_set.get_block(db, actor, 0, 0).hashes == stored_blocks(db)[0, 0]
    assert active_set.get_block(db, actor, 0, 255**4).hashes == EMPTY_BLOCK
    for place, reason in (
        ((5, 0), "^level: must be 0 to 4$"),
        ((4, 1), "^number: must be 0 to 0 at level 4$"),
        ((3, 256), "^number: must be 0 to 255 at level 3$"),
    ):
        with pytest.raises(InvalidInput, match=reason):
            active_set.get_block(db, actor, *place)


def test_only_the_scopes_feed_and_audit_can_read_the_set(db: HashDB, actor: Actor, log: Verifier) -> None:
    contributed(db, actor, draft(1))
    active_set.keep(db)
    assert active_set.get(db, member_with(db, Scope.AUDIT)) == active_set.get(db, member_with(db, Scope.FEED))
    with pytest.raises(ScopeMissing):
        active_set.get(db, member_with(db, Scope.MATCH))
    with pytest.raises(ScopeMissing):
        active_set.get_block(db, member_with(db, Scope.MATCH), 0, 0)


def test_no_block_is_returned_while_the_tree_is_rebuilt(db: HashDB, actor: Actor, log: Verifier) -> None:
    contributed(db, actor, draft(1), draft(2))
    active_set.keep(db)
    known = active_set.get(db, actor)
    with db.store.begin() as tx:
        tx.connection.execute(set_blocks.delete())
        tx.connection.execute(set_states.delete())
    with pytest.raises(Unavailable):
        active_set.get_block(db, actor, 0, 0)
    assert not active_set.keep(db, at_once=True)
    assert active_set.get(db, actor) == known
    assert active_set.get_block(db, actor, 0, 0).hashes != EMPTY_BLOCK


def test_the_log_and_organisations_sign_the_note_of_a_root(db: HashDB, actor: Actor, log: Verifier) -> None:
    contributed(db, actor, draft(1))
    active_set.keep(db)
    known = active_set.get(db, actor)
    body, key = read_note(known.note, [log])
    assert (SetRoot.parse(body), key) == (SetRoot("log.example/1", known.seq, known.root), log)
    signers = [Cosigner.new("a.example"), Cosigner.new("b.example", KeyType.ML_DSA_44)]
    db.rules = replace(db.rules, organisations=quorum(*(signer.key for signer in signers)))
    match_key = member_with(db, Scope.MATCH)
    first = active_set.sign(db, match_key, signers[0].cosign(body, 1_800_000_000))
    with pytest.raises(NotFound, match="a root of the active set that the quorum signed does not exist"):
        active_set.get(db, actor, signed=True)
    both = active_set.sign(db, match_key, signers[1].cosign(body, 1_800_000_001))
    assert first.note == known.note + signers[0].cosign(body, 1_800_000_000)
    assert active_set.get(db, actor) == active_set.get(db, actor, signed=True) == both
    times = cosigners(both.note, [signer.key for signer in signers])
    assert list(times.values()) == [1_800_000_000, 1_800_000_001]
    assert active_set.sign(db, match_key, signers[0].cosign(body, 1_800_000_002)).note.count("a.example") == 1


def test_only_the_newest_20_roots_can_be_signed(db: HashDB, actor: Actor, log: Verifier) -> None:
    signer = Cosigner.new("a.example")
    db.rules = replace(db.rules, organisations=quorum(signer.key))
    contributed(db, actor, draft(1))
    active_set.keep(db)
    old = active_set.get(db, actor)
    contributed(db, actor, draft(2))
    active_set.keep(db, at_once=True)
    line = signer.cosign(SetRoot("log.example/1", old.seq, old.root).body, 1_800_000_000)
    assert active_set.sign(db, actor, line).seq == old.seq
    assert active_set.get(db, actor, signed=True).seq == old.seq < active_set.get(db, actor).seq
    for number in range(20):
        contributed(db, actor, draft(10 + number))
        active_set.keep(db, at_once=True)
    with pytest.raises(InvalidInput, match=r"the signature of a\.example matches none of the newest 20 roots"):
        active_set.sign(db, actor, line)


@pytest.mark.parametrize("lines", ["", "no signature\n", "\u2014 a.example AAAA\n", "\u2014 a.example", "\x00\n"])
def test_text_that_is_no_signature_is_rejected(db: HashDB, actor: Actor, log: Verifier, lines: str) -> None:
    contributed(db, actor, draft(1))
    active_set.keep(db)
    with pytest.raises(InvalidInput, match="must be the signature lines"):
        active_set.sign(db, actor, lines)


def test_signatures_by_strangers_or_of_another_root_are_rejected(db: HashDB, actor: Actor, log: Verifier) -> None:
    contributed(db, actor, draft(1))
    active_set.keep(db)
    known = active_set.get(db, actor)
    body = SetRoot("log.example/1", known.seq, known.root).body
    signer, stranger = Cosigner.new("a.example"), Cosigner.new("b.example")
    with pytest.raises(InvalidInput, match=r"no organisation of this service has the name a\.example and this key"):
        active_set.sign(db, actor, signer.cosign(body, 1_800_000_000))
    db.rules = replace(db.rules, organisations=quorum(signer.key))
    with pytest.raises(InvalidInput, match=r"has the name b\.example and this key"):
        active_set.sign(db, actor, signer.cosign(body, 1) + stranger.cosign(body, 1))
    with pytest.raises(InvalidInput, match="must have only one signature of each organisation"):
        active_set.sign(db, actor, signer.cosign(body, 1) + signer.cosign(body, 2))
    for wrong in (SetRoot("log.example/2", known.seq, known.root), SetRoot("log.example/1", known.seq, bytes(32))):
        with pytest.raises(InvalidInput, match=r"matches none of the newest 1 roots"):
            active_set.sign(db, actor, signer.cosign(wrong.body, 1))
    assert active_set.get(db, actor).note == known.note


def test_a_machine_without_the_log_key_reports_the_set_as_unavailable(
    db: HashDB, actor: Actor, log: Verifier, tmp_path: Path
) -> None:
    contributed(db, actor, draft(1))
    active_set.keep(db)
    db.signing = Signing(tmp_path / "other.key", tmp_path / "checkpoints.txt")
    with pytest.raises(Unavailable):
        active_set.get(db, actor)
    with pytest.raises(Unavailable):
        active_set.sign(db, actor, Cosigner.new("a.example").cosign("x/set\n1\n" + "A" * 43 + "=\n", 1))
    assert active_set.get_block(db, actor, 0, 0).hashes != EMPTY_BLOCK


def findings(db: HashDB) -> list[str]:
    """The findings of a verification of the log."""
    return [str(finding) for finding in verify(db, COMMAND_LINE).findings]


def test_an_unmodified_tree_verifies(db: HashDB, clock: Clock, actor: Actor, log: Verifier) -> None:
    added = contributed(db, actor, *map(draft, range(300)))
    assert findings(db) == []
    active_set.keep(db)
    contributions.withdraw(db, actor, added[280].id, "other")
    assert findings(db) == []
    clock.advance(minutes=1)
    active_set.keep(db)
    member_with(db)
    contributions.amend(db, actor, added[0].id, Amendment(severity=3))
    assert findings(db) == []
    active_set.keep(db, at_once=True)
    assert findings(db) == []


def test_verification_reports_a_changed_leaf(db: HashDB, actor: Actor, log: Verifier) -> None:
    contributed(db, actor, *map(draft, range(300)))
    active_set.keep(db)
    blocks = stored_blocks(db)
    advice = "; to rebuild it, delete all rows of set_blocks and set_states"
    text = "the tree over the active set does not match the events: "
    for place, offset, reason in (
        ((0, 1), 0, "contribution 256 differs"),
        ((0, 0), 0, "contribution 0 differs"),
        ((1, 0), 1, "block 0 of level 1 differs"),
    ):
        block = bytearray(blocks[place])
        block[32 * offset] ^= 1
        with db.store.begin() as tx:
            tx.active_set.put({place: bytes(block)})
        assert findings(db) == [f"{text}{reason}{advice}"]
        with db.store.begin() as tx:
            tx.active_set.put({place: blocks[place]})
    assert findings(db) == []
    with db.store.begin() as tx:
        tx.active_set.put({(0, 9): blocks[0, 1]})
    assert findings(db) == [f"{text}contribution 2304 differs{advice}"]


@pytest.mark.parametrize(
    "details",
    [
        {"root": "ab" * 32, "count": 2, "covers": 4},
        {"root": "ab" * 32, "count": 2},
        {"root": "none", "count": 2, "covers": 4},
        {"count": "a", "covers": 4},
    ],
)
def test_verification_reports_the_event_of_a_wrong_root(
    db: HashDB, actor: Actor, log: Verifier, details: dict[str, Detail]
) -> None:
    contributed(db, actor, draft(1), draft(2))
    active_set.keep(db)
    with db.store.begin() as tx:
        seq = tx.audit.append(NOON, COMMAND_LINE, [LogEntry(Action.SET_COMMITTED, "set", 1, details)])
    (finding,) = findings(db)
    assert finding.startswith(f"event {seq}: ")


def test_verification_reports_a_root_with_a_wrong_count(db: HashDB, actor: Actor, log: Verifier) -> None:
    contributed(db, actor, draft(1), draft(2))
    active_set.keep(db)
    known = active_set.get(db, actor)
    with db.store.begin() as tx:
        details: dict[str, Detail] = {"root": known.root.hex(), "count": 3, "covers": known.covers}
        tx.audit.append(NOON, COMMAND_LINE, [LogEntry(Action.SET_COMMITTED, "set", 1, details)])
    (finding,) = findings(db)
    assert finding.endswith("records a root or a count of the active set that does not match the events")


def _keep_in_a_process(url: str) -> bool:
    from tests.builders import hashdb

    db = hashdb(url, Clock())
    try:
        return active_set.keep(db)
    finally:
        db.close()
