"""Schedule: the table of all background tasks, with their periods, and the threads of a worker that run them."""

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
from hashdb.index.folder import lock_folder
from hashdb.service import HashDB, later
from hashdb.service.accounts import members
from hashdb.service.background import Task, low_priority
from hashdb.service.contributions import commitments, contributions, expiry
from hashdb.service.ledger import active_set, checkpoints, witnesses
from hashdb.service.matching import benign, neighbors
from hashdb.service.review import batches, due, opinions, proposals
from hashdb.service.sharing import deliveries
from hashdb.service.stats import counts, overviews
from hashdb.store.jobs import TaskError

Act = Callable[[HashDB], object]
"""The function of a task."""
_BATCH = 500
"""The most rows that a task of the thread `log` handles in one call."""
_COMMIT_SECONDS = 2.0
"""How long contributions are committed to before the other tasks of the thread have their turn."""
_TRY_AGAIN = 2.0
"""Seconds until a worker tries again to become the one that sends deliveries on its machine."""


class Lane(StrEnum):
    """The threads of a worker: a task delays only the tasks of its own thread."""

    FLUSH = "flush"
    """Tasks that store something within a second."""
    LOG = "log"
    """Tasks that follow the log and the clock. They need no index, so they run while the index is built."""
    BATCHES = "batches"
    """Carries out what users decided for many rows, which may take minutes."""
    INDEX = "index"
    """Tasks that need the index and may take long."""
    WEBHOOKS = "webhooks"
    """Makes deliveries to webhooks and starts to send them, in one worker of a machine."""
    MAILS = "mails"
    """Sends mail, and waits for the operator's server."""
    UPSTREAMS = "upstreams"
    """Reads the lists of other services, and waits for them."""
    WITNESSES = "witnesses"
    """Asks the witnesses of the log, and waits for them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A task: what it does, when and where it runs."""

    task: Task
    does: str
    every: float | None = None
    """The period in seconds; None for a task that runs on demand."""
    lane: Lane | None = None
    """The thread that runs it; None for a task whose caller runs it."""
    act: Act | None = None
    """The function; None if the serving process, or the caller of a task on demand, provides it."""
    demand: str = ""
    """When a task without a period runs."""
    place: str = "each worker"
    """Which workers run it."""

    @property
    def when(self) -> str:
        """The period, or when the task runs.

        >>> Plan(Task.COUNTS, "stores counts and hits", 0.5).when
        '0.5 s'
        """
        return self.demand if self.every is None else f"{self.every:g} s"


def _log_changes(db: HashDB) -> None:
    """Call each function until it has less than a full batch to do."""
    for run_batch in (contributions.emit_pending, opinions.recount, contributions.purge):
        while run_batch(db, _BATCH) == _BATCH:
            pass


def _commit(db: HashDB) -> None:
    until = monotonic() + _COMMIT_SECONDS
    while commitments.commit(db, _BATCH) and monotonic() < until:
        pass


def _follow(db: HashDB) -> None:
    while overviews.follow(db) == overviews.BLOCK:
        pass


_ONE_WORKER = "one worker of a machine"

BACKGROUND_TASKS = (
    Plan(Task.METRICS, "adds requests and match times to the metrics", 1, Lane.FLUSH),
    Plan(Task.COUNTS, "stores counts and hits", 1, Lane.FLUSH, counts.flush),
    Plan(Task.USES, "stores which keys were used", 1, Lane.FLUSH, members.flush),
    Plan(Task.SUSPICIONS, "logs a key that may be reading hashes (event key.suspected)", 1, Lane.FLUSH),
    Plan(Task.FLOODS, "quarantines contributions with too many hits in an hour", 10, Lane.FLUSH, neighbors.guard),
    Plan(Task.SEALS, "seals the counts of past days", 10, Lane.FLUSH, counts.seal),
    Plan(Task.EXPIRY, "updates expiry times after incidents or retention changed", 5, Lane.LOG, expiry.settle),
    Plan(Task.PROPOSALS, "expires proposals", 5, Lane.LOG, proposals.expire),
    Plan(Task.CHANGES, "logs expiries and suspensions, recounts opinions, erases", 5, Lane.LOG, _log_changes),
    Plan(Task.COMMITMENTS, "commits to contributions of older versions", 5, Lane.LOG, _commit),
    Plan(Task.OVERVIEWS, "counts new events for the console", 5, Lane.LOG, _follow),
    Plan(Task.JOBS, "removes answers to jobs after an hour", 60, Lane.LOG, later.prune),
    Plan(Task.SET, "records the root of the active set when the last one is 50 s old", 5, Lane.LOG, active_set.keep),
    Plan(Task.CHECKPOINTS, "signs the log when the last checkpoint is 50 s old", 5, Lane.LOG, checkpoints.keep),
    Plan(
        Task.WITNESSES,
        "asks witnesses to cosign the newest checkpoint",
        1,
        Lane.WITNESSES,
        witnesses.ask,
        place="one worker per witness",
    ),
    Plan(Task.BATCHES, "carries out batches of the console", 1, Lane.BATCHES, batches.carry_out),
    Plan(Task.BATCH_RECORDS, "removes batches after 90 days", 600, Lane.BATCHES, batches.prune),
    Plan(Task.FILL, "builds the index", None, Lane.INDEX, demand="at the start of a worker"),
    Plan(Task.INDEX, "reads new events, writes and merges segments", 1, Lane.INDEX, lambda db: db.index.maintain()),
    Plan(Task.MASKS, "applies changes of the benign list to contributions", 5, Lane.INDEX, benign.settle),
    Plan(Task.WEBHOOKS, "creates deliveries and starts those that are due", 0.5, Lane.WEBHOOKS, place=_ONE_WORKER),
    Plan(Task.DUE, "reports cases that are due soon to webhooks", 30, Lane.WEBHOOKS, due.report, place=_ONE_WORKER),
    Plan(Task.MAILS, "sends mail on cases that are due soon", 30, Lane.MAILS, place="one worker per mail"),
    Plan(Task.DELIVERY_RECORDS, "removes old deliveries", 600, Lane.WEBHOOKS, deliveries.prune, place=_ONE_WORKER),
    Plan(Task.DELIVERY, "sends one delivery", demand="when the delivery is due", place=_ONE_WORKER),
    Plan(Task.FOLLOW, "reads the lists that this service follows", 1, Lane.UPSTREAMS, place="one worker per list"),
    Plan(Task.VERIFICATION, "verifies the log", demand="on request in the console", place="one worker"),
    Plan(Task.REPORT, "makes a report", demand="on request in the console", place="one worker"),
    Plan(Task.ANSWERS, "follows a job until its answer is stored", demand="when a request is answered by 202"),
    Plan(
        Task.STOP,
        "stores the counts (a worker), signs the log (the main process)",
        demand="when the service stops",
        place="each worker and the main process",
    ),
)
"""Every background task of the service."""


def periodic_tasks(db: HashDB) -> tuple[Task, ...]:
    """The tasks that this service runs periodically, without those of webhooks, mail and witnesses if it has none."""
    used = {
        Lane.WEBHOOKS: db.rules.webhook_egress is not None,
        Lane.MAILS: db.rules.mails,
        Lane.WITNESSES: db.rules.asks_witnesses,
    }
    lanes = [lane for lane in Lane if used.get(lane, True)]
    return tuple(plan.task for plan in BACKGROUND_TASKS if plan.every is not None and plan.lane in lanes)


def last_errors(db: HashDB, actor: Actor) -> Mapping[str, TaskError]:
    """The last failure of each task that ever failed, in any process."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.task_errors.by_task()


def start(db: HashDB, stop: Event, serving: Mapping[Task, Act]) -> None:
    """Start the threads of a worker, without those of webhooks, mails and upstreams: the caller starts these itself.

    They need more than the database. `serving` has the functions of the tasks `metrics`, `suspicions` and `fill`.
    """
    lanes: list[tuple[Lane, Callable[..., None]]] = [
        (Lane.FLUSH, work),
        (Lane.LOG, _work_with_low_priority),
        (Lane.BATCHES, _work_with_low_priority),
        (Lane.INDEX, _fill_and_work),
    ]
    if db.rules.asks_witnesses:
        lanes.append((Lane.WITNESSES, work))
    for lane, run in lanes:
        Thread(target=run, args=(db, lane, stop, serving), name=lane, daemon=True).start()


def work(
    db: HashDB, lane: Lane, stop: Event, acts: Mapping[Task, Act], wait: Callable[[float], object] | None = None
) -> None:
    """Run the periodic tasks of a thread until `stop` is set; `acts` has the functions that the table leaves out.

    `wait` pauses for at most the given seconds between two rounds; by default until `stop` is set.
    """
    plans = [(plan, plan.every) for plan in BACKGROUND_TASKS if plan.lane is lane and plan.every is not None]
    due_at = dict.fromkeys((plan.task for plan, _ in plans), 0.0)
    pause = min(every for _, every in plans)
    while not stop.is_set():
        for plan, every in plans:
            act = acts.get(plan.task, plan.act)
            if act is not None and monotonic() >= due_at[plan.task]:
                due_at[plan.task] = monotonic() + every
                db.background.run(plan.task, partial(act, db))
        (wait or stop.wait)(pause)


def deliver(
    db: HashDB, folder: Path, post: deliveries.Post, report: Callable[[DeliveryOutcome], None], stop: Event
) -> None:
    """Deliver until `stop` is set, whenever this process holds the folder's lock; one process of a machine does.

    `post` sends one message to a webhook; `report` is called with the outcome.
    """
    while not stop.is_set():
        with lock_folder(folder) as holds_lock:
            if holds_lock:
                dispatcher = deliveries.Dispatcher(post, report)
                work(db, Lane.WEBHOOKS, stop, {Task.WEBHOOKS: dispatcher.look}, dispatcher.wait)
            else:
                # Another process runs these tasks.
                for plan in BACKGROUND_TASKS:
                    if plan.lane is Lane.WEBHOOKS:
                        db.background.on_success(plan.task, None)
        stop.wait(_TRY_AGAIN)


def _work_with_low_priority(db: HashDB, lane: Lane, stop: Event, serving: Mapping[Task, Act]) -> None:
    low_priority()
    work(db, lane, stop, serving)


def _fill_and_work(db: HashDB, lane: Lane, stop: Event, serving: Mapping[Task, Act]) -> None:
    """Fill the index, trying each second until it is filled, then run the periodic tasks of the thread."""
    while db.index.head is None and not stop.is_set():
        db.background.run(Task.FILL, partial(serving[Task.FILL], db))
        stop.wait(0 if db.index.head else 1)
    _work_with_low_priority(db, lane, stop, serving)
