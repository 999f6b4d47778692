"""Deliveries of webhooks: made from new events, sent in the background, retried, and given up."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from http.client import HTTPException
from threading import Event, Thread
from typing import NamedTuple
from urllib.parse import urlsplit

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.ledger.events import FEED_ACTIONS, REVERSING_ACTIONS, Action, LogEntry
from hashdb.domain.sharing.webhooks import (
    ATTEMPT_LEASE,
    DISABLE_AFTER,
    KEEP_DELIVERIES,
    Attempt,
    ClaimedDelivery,
    DeliveryOutcome,
    Topic,
    Trouble,
    encode_message,
    pause_after,
    sign,
    url_fault,
)
from hashdb.errors import NotFound
from hashdb.service import HashDB
from hashdb.service.background import Task
from hashdb.service.sharing.safe_http import NotPermittedError, connect, request_target, resolve, trouble_of
from hashdb.service.sharing.webhooks import new_message
from hashdb.service.stats.counts import seq_with_all_hits
from hashdb.store import Transaction
from hashdb.store.sharing.webhooks import DeliveryPosition

_SECONDS = 10.0
"""Seconds for one attempt, from connecting to the end of the response."""
_RESPONSE_BYTES = 65_536
"""Bytes of a response that are read; none is kept."""
_AT_ONCE = 8
"""Deliveries that one process sends at the same time."""
_SLACK = 1_000
"""A position is advanced without a message once it is this many events behind: not every event costs a write."""
_EVENTS_AT_ONCE = 100
"""Events of cases that are read at a time."""
_FEED = (*FEED_ACTIONS, Action.LOG_RESTORED)
"""The actions of events that a webhook of the topic `feed.changed` counts."""
_CASES = {Topic.CASE_OPENED: Action.CASE_OPENED, Topic.CASE_DECIDED: Action.CASE_DECIDED}

Post = Callable[[ClaimedDelivery, datetime], Attempt]
"""Sends a delivery once, signed for this time."""
_EVERY_MEMBER = 0
_DataByMember = Mapping[int, Sequence[dict[str, object]]]
"""The data of messages to be sent, by member; `_EVERY_MEMBER` stands for each member that has none of its own."""


class _News(NamedTuple):
    """What webhooks whose positions have the same topic and seq are to report."""

    positions: Sequence[DeliveryPosition]
    upto: int
    """The seq up to which events were read."""
    data: _DataByMember
    has_more: bool = False
    """Whether there may be more events behind `upto`."""


def make(db: HashDB) -> int:
    """Make the deliveries of new events, and advance the positions of the webhooks in the same transaction.

    If this process is killed, nothing is lost: the next call makes what is missing. Returns how many were made.
    """
    with db.store.read() as tx:
        head = tx.audit.head()
        groups: dict[tuple[Topic, int], list[DeliveryPosition]] = defaultdict(list)
        for position in tx.webhooks.positions_behind(head.seq):
            groups[position.topic, position.seq].append(position)
        read = [_read_news(db, tx, positions, head.seq, head.epoch) for positions in groups.values()]
    due = [
        news for news in read if any(news.data.values()) or news.has_more or news.upto - news.positions[0].seq >= _SLACK
    ]
    if not due:
        return 0
    made = 0
    with db.store.begin() as tx:
        tx.webhooks.lock([position.webhook for news in due for position in news.positions])
        for news in due:
            moved = tx.webhooks.advance(news.positions, news.upto)
            for position in news.positions:
                if position.webhook not in moved:
                    # Another process has made its deliveries.
                    continue
                for data in news.data.get(position.member, news.data.get(_EVERY_MEMBER, ())):
                    tx.deliveries.add(position.webhook, new_message(db, str(position.topic), data))
                    made += 1
    return made


def claim(db: HashDB, busy: Collection[int], most: int) -> tuple[ClaimedDelivery, ...]:
    """Claim at most `most` due deliveries, each to a different webhook that is not `busy`, for this process alone."""
    now = db.now()
    with db.store.read() as tx:
        due = tx.deliveries.due(now, busy)[:most]
    if not due:
        return ()
    with db.store.begin() as tx:
        return tx.deliveries.claim(due, now, now + ATTEMPT_LEASE)


def send(db: HashDB, claimed: ClaimedDelivery, post: Post) -> DeliveryOutcome:
    """Send one delivery and store the outcome: delivered, failed, or waiting for the next attempt.

    If nothing has arrived at a webhook for days, it is disabled when a delivery is given up. An answer 410 disables it
    at once.
    """
    attempt = post(claimed, db.now())
    now, topic = db.now(), claimed.message.topic
    # The time until the next attempt; None if there is none.
    pause = None if attempt.trouble is None or attempt.gone else pause_after(claimed.attempts + 1, topic)
    final = DeliveryOutcome.DELIVERED if attempt.trouble is None else DeliveryOutcome.FAILED
    outcome = final if pause is None else DeliveryOutcome.WAITING
    with db.store.begin() as tx, suppress(NotFound):
        tx.webhooks.one(claimed.webhook, lock=True)
        if not tx.deliveries.record_attempt(claimed, attempt, outcome, now, None if pause is None else now + pause):
            # It was requested again meanwhile, or another process has sent it.
            return outcome
        if outcome is DeliveryOutcome.DELIVERED:
            tx.webhooks.record_arrival(claimed.webhook)
            return outcome
        since = tx.webhooks.record_failure(claimed.webhook, now)
        # A test message has a topic that is none of `Topic`: only the answer 410 to it disables the webhook.
        given_up = outcome is DeliveryOutcome.FAILED and topic in set(Topic) and now - since >= DISABLE_AFTER
        if (given_up or attempt.gone) and tx.webhooks.disable(claimed.webhook):
            reason = "gone" if attempt.gone else "failing"
            entry = LogEntry(Action.WEBHOOK_DISABLED, "webhook", claimed.webhook, {"reason": reason})
            tx.audit.append(now, SYSTEM, [entry])
    return outcome


def prune(db: HashDB) -> int:
    """Remove old deliveries, and the oldest of a webhook with too many; return how many."""
    with db.store.begin() as tx:
        return tx.deliveries.prune(db.now() - KEEP_DELIVERIES)


def post(claimed: ClaimedDelivery, now: datetime, egress: EgressPolicy) -> Attempt:
    """Send the request once, to a checked address; only the status of the response counts.

    It ends within ten seconds of the resolved name.
    """
    started = time.monotonic()
    status, trouble = None, None
    try:
        status = _send_request(claimed, now, egress)
        trouble = None if 200 <= status < 300 else Trouble.STATUS
    except (OSError, HTTPException, ValueError) as error:
        trouble = trouble_of(error)
    return Attempt(status, int((time.monotonic() - started) * 1000), trouble)


class Dispatcher:
    """Sends the deliveries of one process. A slow receiver delays only its own deliveries."""

    def __init__(self, post: Post, report: Callable[[DeliveryOutcome], None]) -> None:
        """Nothing is sent yet; `report` is called with the outcome of each attempt."""
        self._post = post
        self._report = report
        self._threads: dict[int, Thread] = {}
        """By webhook: one delivery at a time is sent to each."""
        self._sent = Event()
        """Set when an attempt has ended."""

    def look(self, db: HashDB) -> int:
        """Make new deliveries and start to send those that are due; return how many. Raises StoreBusy."""
        self._threads = {id: thread for id, thread in self._threads.items() if thread.is_alive()}
        make(db)
        deliveries = claim(db, self._threads.keys(), _AT_ONCE - len(self._threads))
        for claimed in deliveries:
            # A daemon: it does not delay the end of the process, and what is cut off is sent again.
            thread = Thread(target=self._send, args=(db, claimed), name="deliver", daemon=True)
            self._threads[claimed.webhook] = thread
            thread.start()
        return len(deliveries)

    def wait(self, seconds: float) -> None:
        """Return when something was sent, at the latest after this time."""
        self._sent.wait(seconds)
        self._sent.clear()

    def _send(self, db: HashDB, claimed: ClaimedDelivery) -> None:
        try:
            self._report(send(db, claimed, self._post))
        except Exception as error:
            # The outcome is not stored: after its lease another attempt is made.
            db.background.failed(Task.DELIVERY, error)
        finally:
            self._sent.set()


def _send_request(claimed: ClaimedDelivery, now: datetime, egress: EgressPolicy) -> int:
    # The policy may have changed since the webhook was made.
    if url_fault(claimed.url, egress):
        raise NotPermittedError
    parts, body, seconds = urlsplit(claimed.url), encode_message(claimed.message), int(now.timestamp())
    signatures = [sign(secret, claimed.message.id, seconds, body) for secret in claimed.secrets]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "hashdb-webhooks",
        "Connection": "close",
        "webhook-id": claimed.message.id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(signatures),
    }
    with connect(parts, resolve(parts, egress.permits), _SECONDS) as connection:
        connection.request("POST", request_target(parts), body, headers)
        with connection.getresponse() as response:
            response.read(_RESPONSE_BYTES)
            return response.status


def _read_news(db: HashDB, tx: Transaction, positions: Sequence[DeliveryPosition], head: int, epoch: str) -> _News:
    """What happened since the positions, which have the same topic and seq, up to the seq `head`."""
    topic, after = positions[0].topic, positions[0].seq
    if topic is Topic.FEED_CHANGED:
        count = tx.audit.count(after, head, _FEED)
        return _News(positions, head, {_EVERY_MEMBER: _summary(after, head, count, epoch=epoch)})
    if topic is Topic.MATCH_REVERSED:
        return _reversals(db, tx, positions)
    events = tx.audit.since(after, _EVENTS_AT_ONCE, [_CASES[topic]])
    # The id of such an event is that of the case.
    parties = tx.cases.parties([event.id for event in events])
    by_member: dict[int, list[dict[str, object]]] = {position.member: [] for position in positions}
    for event in events:
        for member in parties.get(event.id, frozenset()) & by_member.keys():
            data: dict[str, object] = {
                "seq": event.seq,
                "case": event.id,
                "contribution": event.details["contribution"],
            }
            by_member[member].append(data)
    has_more = len(events) == _EVENTS_AT_ONCE
    return _News(positions, events[-1].seq if has_more else head, by_member, has_more)


def _reversals(db: HashDB, tx: Transaction, positions: Sequence[DeliveryPosition]) -> _News:
    after = positions[0].seq
    # A recent match may not be stored yet, and without it its reversal would not concern the member.
    upto = max(after, seq_with_all_hits(db, tx))
    if not tx.audit.count(after, upto, REVERSING_ACTIONS):
        return _News(positions, upto, {})
    counts = {position.member: len(tx.hits.reversals(position.member, after, upto)) for position in positions}
    return _News(positions, upto, {member: _summary(after, upto, count) for member, count in counts.items()})


def _summary(after: int, checkpoint: int, count: int, **more: object) -> list[dict[str, object]]:
    """The data of a message with the number of events; none if there are no events."""
    return [{"after": after, "checkpoint": checkpoint, "count": count, **more}] if count else []
