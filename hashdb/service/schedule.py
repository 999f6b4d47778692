"""Schedule: all that runs in the background, how often, and in which thread of a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import monotonic

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.sharing.webhooks import DeliveryOutcome
from hashdb.index.folder import locked
from hashdb.index.segments import low_priority
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.background import Task
from hashdb.service.contributions import contributions, expiry
from hashdb.service.ledger import checkpoints
from hashdb.service.matching import benign, neighbors
from hashdb.service.review import opinions, proposals
from hashdb.service.sharing import deliveries
from hashdb.service.stats import counts, overviews
from hashdb.store.jobs import TaskError

Act = Callable[[HashDB], object]
_BATCH = 500
_TRY_AGAIN = 2.0
"""Seconds until a worker asks again whether it is the one of its machine that delivers."""


class Lane(StrEnum):
    """The threads of a worker: a task holds up only those of its own."""

    FLUSH = "flush"
    """What has to be stored within a second."""
    LOG = "log"
    """What follows the log and the clock. It needs no index, and so it runs while the index is filled."""
    INDEX = "index"
    """What needs the index, and may take long."""
    WEBHOOKS = "webhooks"


@dataclass(frozen=True, slots=True)
class Plan:
    """A task: what it does, every how many seconds (None: on demand), in which thread, and the function.

    `act` is None where the process that serves names it, or where whoever demands it does.
    """

    task: Task
    does: str
    every: float | None = None
    lane: Lane | None = None
    act: Act | None = None
    demand: str = ""
    """When a task without a period runs."""
    place: str = "each worker"

    @property
    def when(self) -> str:
        """Its period, or when it runs.

        >>> Plan(Task.COUNTS, "stores counts and hits", 0.5).when
        '0.5 s'
        """
        return self.demand if self.every is None else f"{self.every:g} s"


def _announce(db: HashDB) -> None:
    for one in (contributions.emit_pending, opinions.recount, contributions.purge):
        while one(db, _BATCH) == _BATCH:
            pass


def _follow(db: HashDB) -> None:
    while overviews.follow(db) == overviews.BLOCK:
        pass


_ONE = "one worker of a machine"

TABLE = (
    Plan(Task.METRICS, "adds up the times of matches for the metrics", 1, Lane.FLUSH),
    Plan(Task.COUNTS, "stores counts and hits", 1, Lane.FLUSH, counts.flush),
    Plan(Task.USES, "stores which keys were used", 1, Lane.FLUSH, members.flush),
    Plan(Task.SUSPICIONS, "writes the event that names a key which may be reading hashes", 1, Lane.FLUSH),
    Plan(Task.FLOODS, "quarantines what many members match within an hour", 10, Lane.FLUSH, neighbors.guard),
    Plan(Task.SEALS, "seals the counts of days that are over", 10, Lane.FLUSH, counts.seal),
    Plan(Task.EXPIRY, "moves expiries after a change of incidents or retention", 5, Lane.LOG, expiry.settle),
    Plan(Task.PROPOSALS, "expires proposals", 5, Lane.LOG, proposals.expire),
    Plan(Task.CHANGES, "logs expiries and suspensions, recounts opinions, erases", 5, Lane.LOG, _announce),
    Plan(Task.OVERVIEWS, "counts new events for the console", 5, Lane.LOG, _follow),
    Plan(Task.CHECKPOINTS, "signs the log when the last checkpoint is 50 s old", 5, Lane.LOG, checkpoints.keep),
    Plan(Task.FILL, "builds the index", None, Lane.INDEX, demand="at the start of a worker"),
    Plan(Task.INDEX, "reads new events, writes and merges segments", 1, Lane.INDEX, lambda db: db.index.maintain()),
    Plan(Task.MASKS, "applies changes of the benign list to contributions", 5, Lane.INDEX, benign.settle),
    Plan(Task.WEBHOOKS, "makes and claims deliveries", 0.5, Lane.WEBHOOKS, place=_ONE),
    Plan(Task.DELIVERY_RECORDS, "removes old deliveries", 600, Lane.WEBHOOKS, deliveries.prune, place=_ONE),
    Plan(Task.DELIVERY, "sends one delivery", demand="when it is due", place=_ONE),
    Plan(Task.VERIFICATION, "verifies the log", demand="when the console is asked for it", place="one worker"),
    Plan(Task.REPORT, "makes a report", demand="when the console is asked for it", place="one worker"),
    Plan(Task.STOP, "stores what was counted, signs the log", demand="when the service stops"),
)
"""Every background task of the service."""


def repeated(db: HashDB) -> tuple[Task, ...]:
    """The tasks that this service does again and again; without webhooks nothing is delivered."""
    lanes = [one for one in Lane if one is not Lane.WEBHOOKS or db.rules.reach is not None]
    return tuple(one.task for one in TABLE if one.every is not None and one.lane in lanes)


def last_errors(db: HashDB, actor: Actor) -> Mapping[str, TaskError]:
    """The last failure of each task that ever failed, in whatever process."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.task_errors.all()


def start(db: HashDB, stop: Event, serving: Mapping[Task, Act]) -> None:
    """Start the threads of a worker; `serving` has the functions of `metrics`, `suspicions` and `fill`."""
    for lane, run in ((Lane.FLUSH, work), (Lane.LOG, _work_low), (Lane.INDEX, _index)):
        Thread(target=run, args=(db, lane, stop, serving), name=lane, daemon=True).start()


def work(
    db: HashDB,
    lane: Lane,
    stop: Event,
    acts: Mapping[Task, Act],
    wait: Callable[[float], object] | None = None,
) -> None:
    """Do the repeated tasks of a thread, each in its period, until told to stop; `acts` has functions of its own."""
    plans = [(one, one.every) for one in TABLE if one.lane is lane and one.every is not None]
    due = dict.fromkeys((one.task for one, _ in plans), 0.0)
    pause = min(every for _, every in plans)
    while not stop.is_set():
        for plan, every in plans:
            act = acts.get(plan.task, plan.act)
            if act is not None and monotonic() >= due[plan.task]:
                due[plan.task] = monotonic() + every
                db.background.run(plan.task, partial(act, db))
        (wait or stop.wait)(pause)


def deliver(
    db: HashDB, folder: Path, post: deliveries.Post, report: Callable[[DeliveryOutcome], None], stop: Event
) -> None:
    """Deliver until told to stop, while no other process holds the folder's lock; when that ends, this one does."""
    while not stop.is_set():
        with locked(folder) as mine:
            if mine:
                dispatcher = deliveries.Dispatcher(post, report)
                work(db, Lane.WEBHOOKS, stop, {Task.WEBHOOKS: dispatcher.look}, dispatcher.wait)
        for plan in () if mine else TABLE:
            if plan.lane is Lane.WEBHOOKS:
                db.background.on_success(plan.task, None)
        stop.wait(_TRY_AGAIN)


def _work_low(db: HashDB, lane: Lane, stop: Event, serving: Mapping[Task, Act]) -> None:
    low_priority()
    work(db, lane, stop, serving)


def _index(db: HashDB, lane: Lane, stop: Event, serving: Mapping[Task, Act]) -> None:
    while db.index.head is None and not stop.is_set():
        db.background.run(Task.FILL, partial(serving[Task.FILL], db))
        stop.wait(0 if db.index.head else 1)
    _work_low(db, lane, stop, serving)
