"""Deliveries: made of what the log tells, sent in the background, tried again, and given up."""

from __future__ import annotations

import ssl
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from http.client import HTTPException
from threading import Event, Thread
from urllib.parse import urlsplit

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.ledger.events import REVERSING, Action, Entry
from hashdb.domain.sharing.webhooks import (
    KEPT,
    LEASE,
    PATIENCE,
    WAITING_EACH,
    Attempt,
    Claimed,
    DeliveryOutcome,
    Topic,
    Trouble,
    body_of,
    pause_after,
    sign,
    url_fault,
)
from hashdb.errors import NotFound
from hashdb.service import HashDB
from hashdb.service.background import Task
from hashdb.service.sharing.safe_http import NotPermittedError, UnknownNameError, connected, resolved, target
from hashdb.service.sharing.webhooks import new_message
from hashdb.service.stats.counts import settled
from hashdb.store import Transaction
from hashdb.store.sharing import DeliveryPosition

_SECONDS = 10.0
"""For one attempt, from the connection to the answer."""
_ANSWER = 65_536
"""Bytes of an answer that are read; none is kept."""
_AT_ONCE = 8
"""Deliveries of one process that are under way."""
_SLACK = 1_000
"""Events without news past which a place is moved on."""
_FEED = (*(action for action in Action if action.changes_feed), Action.LOG_RESTORED)
_CASES = {Topic.CASE_OPENED: Action.CASE_OPENED, Topic.CASE_DECIDED: Action.CASE_DECIDED}

Post = Callable[[Claimed, datetime], Attempt]
_News = Mapping[int, Sequence[dict[str, object]]]
"""What is to be told, by member; 0 is everybody."""


def make(db: HashDB) -> int:
    """Make the deliveries of what the log has told since, each with the place up to which it tells, at once.

    Whatever happens to this process, nothing is left out: what was not made is made by the next. How many were made.
    """
    with db.store.read() as tx:
        head = tx.audit.head()
        alike: dict[tuple[Topic, int], list[DeliveryPosition]] = defaultdict(list)
        for place in tx.webhooks.behind(head.seq):
            alike[place.topic, place.seq].append(place)
        found = [(places, *_news(db, tx, places, head.seq, head.epoch)) for places in alike.values()]
    due = [(places, upto, news) for places, upto, news in found if news or upto - places[0].seq >= _SLACK]
    if not due:
        return 0
    made = 0
    with db.store.begin() as tx:
        tx.webhooks.hold([place.webhook for places, _, _ in due for place in places])
        for places, upto, news in due:
            moved = tx.webhooks.move(places, upto)
            for place in places:
                for data in news.get(place.member, news.get(0, ())) if place.webhook in moved else ():
                    tx.deliveries.add(place.webhook, new_message(db, str(place.topic), data))
                    made += 1
    return made


def claim(db: HashDB, busy: Collection[int], most: int) -> tuple[Claimed, ...]:
    """At most `most` deliveries to be sent now, each to another webhook that is not `busy`; nobody else sends them."""
    now = db.now()
    with db.store.read() as tx:
        due = tx.deliveries.due(now, busy)[:most]
    if not due:
        return ()
    with db.store.begin() as tx:
        return tx.deliveries.claim(due, now, now + LEASE)


def send(db: HashDB, claimed: Claimed, post: Post) -> DeliveryOutcome:
    """Send one delivery, and write down what became of it: it waits for the next attempt, or is over.

    A webhook to which nothing has arrived for days is disabled with the delivery that is given up then.
    """
    attempt = post(claimed, db.now())
    now, topic = db.now(), claimed.message.topic
    pause = None if attempt.trouble is None or attempt.gone else pause_after(claimed.attempts + 1, topic)
    outcome = (
        DeliveryOutcome.DELIVERED
        if attempt.trouble is None
        else DeliveryOutcome.FAILED
        if pause is None
        else DeliveryOutcome.WAITING
    )
    with db.store.begin() as tx, suppress(NotFound):
        tx.webhooks.one(claimed.webhook, lock=True)
        if not tx.deliveries.note(claimed, attempt, outcome, now, None if pause is None else now + pause):
            return outcome
        if outcome is DeliveryOutcome.DELIVERED:
            tx.webhooks.arrived(claimed.webhook)
            return outcome
        since = tx.webhooks.failed(claimed.webhook, now)
        given_up = outcome is DeliveryOutcome.FAILED and topic in set(Topic) and now - since >= PATIENCE
        if (given_up or attempt.gone) and tx.webhooks.disable(claimed.webhook):
            reason = "gone" if attempt.gone else "failing"
            entry = Entry(Action.WEBHOOK_DISABLED, "webhook", claimed.webhook, {"reason": reason})
            tx.audit.append(now, SYSTEM, [entry])
    return outcome


def prune(db: HashDB) -> int:
    """Forget deliveries that are old, or too many of one webhook; how many."""
    with db.store.begin() as tx:
        return tx.deliveries.prune(db.now() - KEPT)


def post(claimed: Claimed, now: datetime, reach: EgressPolicy) -> Attempt:
    """Ask the receiver once, in ten seconds, at an address that was checked; of its answer, the status counts."""
    begun = time.monotonic()
    status, trouble = None, None
    try:
        status = _posted(claimed, now, reach)
        trouble = None if 200 <= status < 300 else Trouble.STATUS
    except NotPermittedError:
        trouble = Trouble.ADDRESS_REFUSED
    except UnknownNameError:
        trouble = Trouble.NAME_UNKNOWN
    except ssl.SSLCertVerificationError:
        trouble = Trouble.CERTIFICATE
    except TimeoutError:
        trouble = Trouble.TOO_SLOW
    except ConnectionRefusedError:
        trouble = Trouble.NOT_CONNECTED
    except (OSError, HTTPException, ValueError):
        trouble = Trouble.NO_ANSWER
    return Attempt(status, int((time.monotonic() - begun) * 1000), trouble)


class Dispatcher:
    """What one process sends. A receiver that is slow keeps only its own deliveries waiting."""

    def __init__(self, post: Post, report: Callable[[DeliveryOutcome], None]) -> None:
        """Sends nothing yet; `report` is called with what became of each attempt."""
        self._post = post
        self._report = report
        self._under_way: dict[int, Thread] = {}
        self._sent = Event()

    def look(self, db: HashDB) -> int:
        """Make what is to be delivered and begin to send what is due; how many were begun. Raises StoreBusy."""
        self._under_way = {id: thread for id, thread in self._under_way.items() if thread.is_alive()}
        make(db)
        found = claim(db, self._under_way.keys(), _AT_ONCE - len(self._under_way))
        for claimed in found:
            # It does not hold up the end of the process: what is lost so is sent again.
            thread = Thread(target=self._send, args=(db, claimed), name="deliver", daemon=True)
            self._under_way[claimed.webhook] = thread
            thread.start()
        return len(found)

    def wait(self, seconds: float) -> None:
        """Return when something was sent, at the latest after so many seconds."""
        self._sent.wait(seconds)
        self._sent.clear()

    def _send(self, db: HashDB, claimed: Claimed) -> None:
        try:
            self._report(send(db, claimed, self._post))
        except Exception as error:
            # Not written down: after its lease another attempt is made.
            db.background.failed(Task.DELIVERY, error)
        finally:
            self._sent.set()


def _posted(claimed: Claimed, now: datetime, reach: EgressPolicy) -> int:
    # The rules may have changed since the webhook was made.
    if url_fault(claimed.url, reach):
        raise NotPermittedError
    parts, body, seconds = urlsplit(claimed.url), body_of(claimed.message), int(now.timestamp())
    signatures = [sign(secret, claimed.message.id, seconds, body) for secret in claimed.secrets]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "hashdb-webhooks",
        "Connection": "close",
        "webhook-id": claimed.message.id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(signatures),
    }
    with connected(parts, resolved(parts, reach.permits), _SECONDS) as connection:
        connection.request("POST", target(parts), body, headers)
        with connection.getresponse() as response:
            response.read(_ANSWER)
            return response.status


def _news(db: HashDB, tx: Transaction, places: Sequence[DeliveryPosition], head: int, epoch: str) -> tuple[int, _News]:
    """Up to which number is told, and what, of one topic after one number."""
    topic, after = places[0].topic, places[0].seq
    if topic is Topic.FEED_CHANGED:
        count = tx.audit.count(after, head, _FEED)
        return head, _gathered(after, head, count, epoch=epoch)
    if topic is Topic.MATCH_REVERSED:
        return _reversals(db, tx, places)
    events = tx.audit.since(after, WAITING_EACH, [_CASES[topic]])
    parties = tx.cases.parties([event.id for event in events])
    news: dict[int, list[dict[str, object]]] = {place.member: [] for place in places}
    for event in events:
        for member in parties.get(event.id, frozenset()) & news.keys():
            data: dict[str, object] = {
                "seq": event.seq,
                "case": event.id,
                "contribution": event.details["contribution"],
            }
            news[member].append(data)
    upto = head if len(events) < WAITING_EACH else events[-1].seq
    return upto, news if any(news.values()) else {}


def _reversals(db: HashDB, tx: Transaction, places: Sequence[DeliveryPosition]) -> tuple[int, _News]:
    after = places[0].seq
    # A match of this moment may not be written down yet, by which its end concerns a member.
    upto = max(after, settled(db, tx))
    if not tx.audit.count(after, upto, REVERSING):
        return upto, {}
    found = {place.member: tx.reversals.count(place.member, after, upto) for place in places}
    news = {member: _gathered(after, upto, count).get(0, ()) for member, count in found.items()}
    return upto, news if any(news.values()) else {}


def _gathered(after: int, checkpoint: int, count: int, **more: object) -> dict[int, Sequence[dict[str, object]]]:
    return {0: [{"after": after, "checkpoint": checkpoint, "count": count, **more}]} if count else {}
