"""Jobs in SQL: their progress and result, which every process can read, and the last errors of background tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import Column, Row, Table, select

from hashdb.domain.jobs import AnswerJob, Job, JobOutcome, JobStatus, ReportJob, Verification
from hashdb.domain.times import Period
from hashdb.store.repositories import Repository, attributes
from hashdb.store.tables import LONGEST_TEXT, answer_jobs, report_jobs, task_errors, verifications

_Job = TypeVar("_Job", bound=Job)


class Jobs(Repository, ABC, Generic[_Job]):
    """Jobs of one kind within one transaction."""

    _table: Table
    _columns: Sequence[Column[Any]]

    def advance(self, id: int, done: int, now: datetime) -> None:
        """Record how many events the job has read."""
        self._update(self._table, id, done=done, touched_at=now)

    def latest(self, limit: int) -> tuple[_Job, ...]:
        """The last jobs, the newest first."""
        query = select(*self._columns).order_by(self._table.c.id.desc()).limit(limit)
        return tuple(map(self._read, self._connection.execute(query)))

    def _add(self, actor: str, size: int, now: datetime, **more: object) -> _Job:
        row = {"actor": actor, "begun_at": now, "touched_at": now, "size": size, "done": 0, **more}
        return self._read(self._insert(self._table, row))

    def _end(self, id: int, outcome: JobOutcome, done: int, now: datetime, **more: object) -> None:
        self._update(self._table, id, outcome=str(outcome), done=done, touched_at=now, **more)

    @abstractmethod
    def _read(self, row: Row[Any]) -> _Job:
        """The job of a row."""


class ReportJobs(Jobs[ReportJob]):
    """Report jobs, with the text of finished reports."""

    _table = report_jobs
    _columns = tuple(column for column in report_jobs.c if column.name != "text")

    def add(self, actor: str, period: Period, member: int | None, size: int, now: datetime) -> ReportJob:
        """Record a new report job, of a log of `size` events."""
        return self._add(actor, size, now, first=period.first, last=period.last, member=member)

    def end(self, id: int, outcome: JobOutcome, done: int, text: str | None, now: datetime) -> None:
        """Record the outcome, and the report."""
        self._end(id, outcome, done, now, text=text)

    def keep_newest(self, newest: int) -> None:
        """Delete all but the newest ones."""
        newest_ids = select(report_jobs.c.id).order_by(report_jobs.c.id.desc()).limit(newest)
        self._delete(report_jobs, report_jobs.c.id.not_in(newest_ids))

    def one(self, id: int) -> ReportJob:
        """One report job. Raises NotFound."""
        return self._read(self._get_row(select(*self._columns).where(report_jobs.c.id == id), f"report {id}"))

    def text(self, id: int) -> str:
        """The text of a report. Raises NotFound if it is not finished."""
        query = select(report_jobs.c.text).where(report_jobs.c.id == id, report_jobs.c.text.is_not(None))
        return str(self._get_row(query, f"report {id}").text)

    def _read(self, row: Row[Any]) -> ReportJob:
        return ReportJob(**_shared_fields(row), period=Period(row.first, row.last), member=row.member)


class Verifications(Jobs[Verification]):
    """Verifications of the log."""

    _table = verifications
    _columns = tuple(verifications.c)

    def add(self, actor: str, size: int, now: datetime) -> Verification:
        """Record a new verification, of a log of `size` events."""
        return self._add(actor, size, now, checkpoints=0, findings={"reasons": []})

    def end(
        self, id: int, outcome: JobOutcome, done: int, checkpoints: int, findings: Sequence[str], now: datetime
    ) -> None:
        """Record the outcome."""
        self._end(id, outcome, done, now, checkpoints=checkpoints, findings={"reasons": list(findings)})

    def _read(self, row: Row[Any]) -> Verification:
        return Verification(**_shared_fields(row), checkpoints=row.checkpoints, findings=tuple(row.findings["reasons"]))


class AnswerJobs(Repository):
    """Requests that are answered later, within one transaction."""

    def add(self, actor: str, now: datetime) -> int:
        """Record a new job, and return its id."""
        row = {"actor": actor, "touched_at": now, "status": str(JobStatus.WAITING), "percent": 0}
        return int(self._insert(answer_jobs, row).id)

    def change(self, id: int, status: JobStatus, percent: int, now: datetime, text: str | None = None) -> None:
        """Record how far the job is, and its encrypted answer or error."""
        self._update(answer_jobs, id, status=str(status), percent=percent, touched_at=now, text=text)

    def one(self, id: int, actor: str) -> AnswerJob:
        """A job of this actor. Raises NotFound."""
        chosen = select(answer_jobs).where(answer_jobs.c.id == id, answer_jobs.c.actor == actor)
        row = self._get_row(chosen, f"job {id}")
        return AnswerJob(
            **attributes(row, "id", "actor", "touched_at", "percent", "text"), status=JobStatus(row.status)
        )

    def keep_newest(self, actor: str, newest: int) -> None:
        """Delete all but the newest ones of this actor."""
        of_actor = answer_jobs.c.actor == actor
        newest_ids = select(answer_jobs.c.id).where(of_actor).order_by(answer_jobs.c.id.desc()).limit(newest)
        self._delete(answer_jobs, of_actor, answer_jobs.c.id.not_in(newest_ids))

    def prune(self, before: datetime) -> int:
        """Delete those that were last touched before that time; return how many."""
        return self._delete(answer_jobs, answer_jobs.c.touched_at < before)


class TaskError(NamedTuple):
    """The last failure of a background task in any process: when, its class and its place in the code."""

    at: datetime
    text: str


class TaskErrors(Repository):
    """The last failures of background tasks within one transaction."""

    def put(self, task: str, text: str, now: datetime) -> None:
        """Store the last failure of a task in place of the previous one; `text` is as in `TaskError`."""
        row = {"task": task, "at": now, "text": text[:LONGEST_TEXT]}
        self._upsert(task_errors, [row], new_columns=("at", "text"))

    def by_task(self) -> Mapping[str, TaskError]:
        """The last failure of each task that ever failed."""
        return {row.task: TaskError(row.at, row.text) for row in self._connection.execute(select(task_errors))}


def _shared_fields(row: Row[Any]) -> dict[str, Any]:
    """The fields of `Job`, which both kinds of job have."""
    outcome = None if row.outcome is None else JobOutcome(row.outcome)
    return {**attributes(row, "id", "actor", "begun_at", "touched_at", "size", "done"), "outcome": outcome}
