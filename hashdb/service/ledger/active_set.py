"""The active set: keeps the tree over all contributions that match, and records its root in the log.

The tree is made from the events alone: each root is that of the state after the event that it covers, and later writes
do not change it. It is stored in blocks of `BLOCK_NODES` nodes, each the hash of a block one level below. The nodes of
level 0 are of contributions; `TOP_BLOCK` is the place (level, number) of the highest block, which gives the root.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.ledger.active_set import (
    BLOCK_NODES,
    EMPTY_BLOCK,
    EMPTY_HASH,
    HASH_OCTETS,
    LEVELS,
    TOP_BLOCK,
    BlockPlace,
    CommittedSet,
    SetBlock,
    build,
    fold,
    update,
)
from hashdb.domain.ledger.cosignatures import SetRoot, WitnessKey, cosigners
from hashdb.domain.ledger.events import FEED_ACTIONS, Action, Details, Event, LogEntry
from hashdb.domain.ledger.notes import KEY_ID_OCTETS, Signer, signature_line, split_note
from hashdb.errors import BadNote, CannotStart, InvalidInput, NotFound, Unavailable, reject_field
from hashdb.service import HashDB
from hashdb.service.background import is_due
from hashdb.service.ledger import checkpoints
from hashdb.store import Transaction
from hashdb.store.ledger.active_set import SetState

_MOST_BLOCKS = 256
"""Blocks of level 0 that a step changes, at most: so its transaction is short."""
_MOST_EVENTS = 65_536
"""Events that a step reads, at most."""
_MOST_SECONDS = 3.0
"""Seconds after which a run of the task ends; the next run continues."""
_IDLE = 1_000
"""Events that change nothing are stored as read once there are more of them."""
_SIGNABLE_ROOTS = 20
"""How many of the newest roots organisations may still sign: another may be recorded while one of them signs."""
MOST_SIGNATURES_READ = 1_000
"""How many of the newest signatures are read, to find a quorum or what each organisation signed last."""
_SUBJECT = ("set", 1)
"""The kind and the id of the subject of events that record a root."""
_ADVANCE_EVERY = 8_192
"""Leaves after which progress is reported."""
_REMEDY = "to rebuild it, delete all rows of set_blocks and set_states"


@dataclass(frozen=True, slots=True)
class _Step:
    """The tree before and after some more events."""

    before: SetState
    after: SetState
    blocks: Mapping[BlockPlace, bytes]
    """The blocks that change."""
    records_root: bool
    """Whether the log gets an event with the root of `after`."""
    reaches_head: bool
    """Whether `after` includes the last event of the log."""


def keep(db: HashDB, *, at_once: bool = False) -> bool:
    """Record the root of the active set if it changed and the last root is old enough (or `at_once`).

    Returns whether it recorded one. Any number of processes may call it; each step is stored by one of them.
    """
    with db.store.read() as tx:
        last = newest(tx)
    if not at_once and last is not None and not is_due(last.at, db.now(), checkpoints.KEPT_EVERY):
        return False
    recorded = False
    until = monotonic() + _MOST_SECONDS
    while monotonic() < until:
        with db.store.read() as tx:
            step = _next_step(tx)
        if step is None or not _store(db, step):
            break
        recorded |= step.records_root
        if step.reaches_head:
            break
    return recorded


def newest(tx: Transaction) -> Event | None:
    """The last event that has a root of the active set."""
    return tx.audit.newest(*_SUBJECT, Action.SET_COMMITTED)


def _next_step(tx: Transaction) -> _Step | None:
    """The tree after the next events that the stored tree does not have; None if too few are new."""
    before, head = tx.active_set.state(), tx.audit.head().seq
    # Other events do not change the set.
    changed = tx.audit.subjects(before.seq, _MOST_EVENTS + 1, FEED_ACTIONS) if before.seq < head else ()
    if not changed and head - before.seq <= _IDLE:
        return None
    ids, upto = _bounded(changed, head)
    stored = tx.active_set.blocks(_places(ids))

    def read(level: int, number: int) -> bytes:
        return stored.get((level, number), EMPTY_BLOCK)

    leaves, count = dict[int, bytes](), before.count
    for id, hash in tx.active_set.leaves(ids, upto):
        old = _node(read(0, id // BLOCK_NODES), id % BLOCK_NODES)
        if hash != old:
            leaves[id] = hash
            count += (hash != EMPTY_HASH) - (old != EMPTY_HASH)
    new_blocks, root = update(read, leaves) if leaves else ({}, before.root)
    last = newest(tx)
    recorded_root = EMPTY_HASH if last is None else root_of(last)
    reaches_head = upto == head
    # While a tree is built, or built again, the log gets one root, at the end: each root covers more than the last.
    is_beyond_last = last is not None and before.seq >= _number(last, "covers")
    records_root = root != recorded_root and (reaches_head or is_beyond_last)
    return _Step(before, SetState(upto, root, count), new_blocks, records_root, reaches_head)


def _bounded(changed: Iterable[tuple[int, int]], head: int) -> tuple[set[int], int]:
    """The contributions of the first events, as many as a step may have, and the seq up to which it reads.

    `changed` are pairs of the seq of an event and the id of its contribution.
    """
    ids, leaf_blocks = set[int](), set[int]()
    for position, (seq, id) in enumerate(changed):
        leaf_blocks.add(id // BLOCK_NODES)
        if position == _MOST_EVENTS or len(leaf_blocks) > _MOST_BLOCKS:
            return ids, seq - 1
        ids.add(id)
    return ids, head


def _places(ids: Collection[int]) -> set[BlockPlace]:
    """The places of all blocks on the way from these contributions to the root."""
    return {(level, id // BLOCK_NODES ** (level + 1)) for id in ids for level in range(LEVELS)}


def _store(db: HashDB, step: _Step) -> bool:
    """Store a step; return False, and change nothing, if another process has stored one meanwhile."""
    with db.store.begin() as tx:
        if not tx.active_set.advance(step.before, step.after):
            return False
        tx.active_set.put(step.blocks)
        if step.records_root:
            after = step.after
            details: Details = {"root": after.root.hex(), "count": after.count, "covers": after.seq}
            tx.audit.append(db.now(), SYSTEM, [LogEntry(Action.SET_COMMITTED, *_SUBJECT, details)])
    return True


def root_of(event: Event) -> bytes:
    """The root that an event records."""
    return bytes.fromhex(str(event.details["root"]))


def _number(event: Event, name: str) -> int:
    return int(str(event.details[name]))


def differences(db: HashDB, tx: Transaction, advance: Callable[[int], object]) -> Iterator[tuple[int | None, str]]:
    """What is wrong with the last root, the stored tree and the signatures.

    Each difference has the seq of the event concerned (None: no event) and a sentence. `advance` is called with 0
    repeatedly, so that a job can be stopped; it counts no events.
    """
    states, head, event = tx.active_set.states(), tx.audit.head().seq, newest(tx)
    if [id for id, _ in states] not in ([], [1]) or any(state.seq > head for _, state in states):
        yield None, "the state of the tree over the active set is not one row, or is beyond the head of the log"
        return
    state = states[0][1] if states else SetState()
    tree = _rebuild(tx, state.seq, advance)
    if tree.differs is not None:
        yield None, f"the tree over the active set does not match the events: {tree.differs}; {_REMEDY}"
    if (state.root, state.count) != (tree.root, tree.count):
        yield None, f"the root of the tree over the active set, or its count, does not match the events; {_REMEDY}"
    if event is None:
        return
    try:
        root, covers, count = root_of(event), _number(event, "covers"), _number(event, "count")
    except (KeyError, ValueError):
        yield event.seq, "has malformed details"
        return
    first, last = sorted((covers, state.seq))
    if tx.audit.count(first, last, FEED_ACTIONS):
        tree = _rebuild(tx, covers, advance)
    if (root, count) != (tree.root, tree.count) or covers >= event.seq:
        yield event.seq, "records a root or a count of the active set that does not match the events"
    yield from ((None, reason) for reason in _wrong_signatures(db, tx))


@dataclass(frozen=True, slots=True)
class _Rebuilt:
    """The tree as the events have it, and where the stored blocks differ from it first (None: nowhere)."""

    root: bytes
    count: int
    differs: str | None


def _rebuild(tx: Transaction, upto: int, advance: Callable[[int], object]) -> _Rebuilt:
    """Make the whole tree of the state after an event, and compare it with the stored blocks on the way."""
    count, root, differs = 0, EMPTY_HASH, None

    def counted_leaves() -> Iterator[tuple[int, bytes]]:
        nonlocal count
        for number, (id, hash) in enumerate(tx.active_set.every_leaf(upto)):
            if number % _ADVANCE_EVERY == 0:
                advance(0)
            count += hash != EMPTY_HASH
            yield id, hash

    # Both trees have their blocks in order of their places. A block that one of them lacks is empty there.
    stored_blocks = tx.active_set.every_block()
    stored = next(stored_blocks, None)
    for place, block in build(counted_leaves()):
        if place == TOP_BLOCK:
            root = fold(block)
        while stored is not None and stored[0] < place:
            differs = differs or _difference(stored[0], EMPTY_BLOCK, stored[1])
            stored = next(stored_blocks, None)
        if stored is not None and stored[0] == place:
            differs = differs or _difference(place, block, stored[1])
            stored = next(stored_blocks, None)
        else:
            differs = differs or _difference(place, block, EMPTY_BLOCK)
    if stored is not None:
        differs = differs or _difference(stored[0], EMPTY_BLOCK, stored[1])
    return _Rebuilt(root, count, differs)


def _difference(place: BlockPlace, rebuilt: bytes, stored: object) -> str | None:
    """Where a stored block differs first; None where it is the same."""
    if rebuilt == stored:
        return None
    level, number = place
    if level or not isinstance(stored, bytes):
        return f"block {number} of level {level} differs"
    first = next(offset for offset in range(BLOCK_NODES) if _node(rebuilt, offset) != _node(stored, offset))
    return f"contribution {number * BLOCK_NODES + first} differs"


def _node(block: bytes, offset: int) -> bytes:
    return block[offset * HASH_OCTETS : (offset + 1) * HASH_OCTETS]


def _wrong_signatures(db: HashDB, tx: Transaction) -> Iterator[str]:
    """A sentence on each stored signature of an organisation of the policy that does not fit the root of its event."""
    policy, signer = db.rules.organisations, tx.checkpoints.signer()
    if policy is None or signer is None:
        return
    keys = {key.named_id: key for key in policy.keys}
    for seq, organisation, line in tx.active_set.every_signature():
        if (key := keys.get(organisation)) is None:
            continue
        try:
            note = SetRoot(signer.name, seq, root_of(tx.audit.event(seq))).body
            fits = key in cosigners(f"{note}\n{line}", [key])
        except (BadNote, NotFound, KeyError, ValueError):
            fits = False
        if not fits:
            yield (
                f"the signature of {key.name} is not valid for the root of event {seq}: delete its row in"
                " set_signatures"
            )


def get(db: HashDB, actor: Actor, *, signed: bool = False) -> CommittedSet:
    """The newest root, or with `signed` the newest one that the quorum of organisations signed.

    Raises NotFound, and Unavailable if the log's key is not here.
    """
    with db.read(actor, Scope.FEED, Scope.AUDIT) as tx:
        event = newest_signed(db, tx) if signed else newest(tx)
        if event is None:
            raise NotFound("a root of the active set that the quorum signed" if signed else "a root of the active set")
        return _committed(db, tx, event)


def get_block(db: HashDB, actor: Actor, level: int, number: int) -> SetBlock:
    """A block of the tree whose root is the newest one.

    Raises NotFound, InvalidInput, and Unavailable while the tree is built.
    """
    actor.require(Scope.FEED, Scope.AUDIT)
    if level >= LEVELS:
        reject_field("level", f"must be 0 to {LEVELS - 1}")
    highest = BLOCK_NODES ** (LEVELS - 1 - level) - 1
    if number > highest:
        reject_field("number", f"must be 0 to {highest} at level {level}")
    with db.store.read() as tx:
        event = newest(tx)
        if event is None:
            raise NotFound("a root of the active set")
        if tx.active_set.state().root != root_of(event):
            raise Unavailable(checkpoints.RETRY_AFTER)
        return SetBlock(event.seq, level, number, tx.active_set.block(level, number))


def sign(db: HashDB, actor: Actor, lines: str) -> CommittedSet:
    """Store signatures of organisations of one of the newest roots; return that root with all of its signatures.

    Raises InvalidInput for lines that are not signatures, of unknown organisations, or of no such root.
    """
    actor.require_not_suspended()
    with db.store.read() as tx:
        origin = _signer(db, tx).name
        roots = tx.audit.between(
            after=0,
            before=tx.audit.head().seq + 1,
            limit=_SIGNABLE_ROOTS,
            actors=None,
            action=Action.SET_COMMITTED,
            subject=_SUBJECT,
        )
    signed: list[tuple[Event, WitnessKey, str]] = []
    for key, signature in _read_signatures(db, lines).items():
        event = _signed_root(origin, roots, key, signature)
        if event is None:
            reason = f"the signature of {key.name} matches none of the newest {len(roots)} roots"
            raise InvalidInput.at_field("", reason)
        signed.append((event, key, signature_line(key, signature)))
    with db.store.begin() as tx:
        for event, key, line in signed:
            tx.active_set.sign(event.seq, key.named_id, line, db.now())
        return _committed(db, tx, max((event for event, *_ in signed), key=lambda event: event.seq))


def _read_signatures(db: HashDB, lines: str) -> dict[WitnessKey, bytes]:
    """The signatures in these lines, by the keys of the organisations. Raises InvalidInput."""
    policy = db.rules.organisations
    keys = {} if policy is None else {(key.name, key.id): key for key in policy.keys}
    try:
        _, named = split_note(f"\n\n{lines}")
    except BadNote:
        raise InvalidInput.at_field("", "must be the signature lines of a signed note") from None
    signatures: dict[WitnessKey, bytes] = {}
    for name, octets in named:
        key = keys.get((name, octets[:KEY_ID_OCTETS]))
        if key is None:
            raise InvalidInput.at_field("", f"no organisation of this service has the name {name} and this key")
        if key in signatures:
            raise InvalidInput.at_field("", "must have only one signature of each organisation")
        signatures[key] = octets[KEY_ID_OCTETS:]
    return signatures


def _signed_root(origin: str, roots: Sequence[Event], key: WitnessKey, signature: bytes) -> Event | None:
    """The event whose root a key signed."""
    for event in roots:
        if key.signed_at(SetRoot(origin, event.seq, root_of(event)).body, signature) is not None:
            return event
    return None


def newest_signed(db: HashDB, tx: Transaction) -> Event | None:
    """The newest event whose root the quorum of organisations signed; None without one."""
    policy = db.rules.organisations
    if policy is None:
        return None
    for seq, organisations in tx.active_set.signers(MOST_SIGNATURES_READ).items():
        if policy.has_quorum([key for key in policy.keys if key.named_id in organisations]):
            return tx.audit.event(seq)
    return None


def _committed(db: HashDB, tx: Transaction, event: Event) -> CommittedSet:
    """The root that an event records, with a note that the log and organisations signed. Raises Unavailable."""
    signer, root = _signer(db, tx), root_of(event)
    note = signer.sign(SetRoot(signer.name, event.seq, root).body) + "".join(tx.active_set.signatures(event.seq))
    return CommittedSet(event.seq, _number(event, "covers"), root, _number(event, "count"), note)


def _signer(db: HashDB, tx: Transaction) -> Signer:
    """The key of the log. Raises Unavailable if it is not here."""
    try:
        return checkpoints.current_signer(db, tx)
    except CannotStart:
        raise Unavailable(checkpoints.RETRY_AFTER) from None
