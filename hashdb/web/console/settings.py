"""/console/settings: the settings in force, the log's keys and the background tasks, without secrets."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Response
from pydantic import SecretStr

from hashdb.domain.accounts.members import Scope
from hashdb.service import schedule
from hashdb.service.ledger import checkpoints
from hashdb.service.schedule import Plan
from hashdb.settings import DEFAULT_LABELS, Settings
from hashdb.web.console import pages
from hashdb.web.context import actor, app_state, hashdb

blueprint = pages.blueprint_of("settings")


@blueprint.get("")
def show() -> Response:
    """Show the settings in force, the log's keys and the background tasks."""
    actor().require(Scope.AUDIT)
    return pages.page(
        "settings.html", log=checkpoints.find_log(hashdb()), settings=_settings(app_state().settings), tasks=_tasks()
    )


@dataclass(frozen=True, slots=True)
class _TaskRow:
    """A background task with its runs by the workers of this machine. `error` is the last of any machine."""

    plan: Plan
    done_at: datetime | None
    seconds: float
    errors: int
    failed_at: datetime | None
    error: str


def _tasks() -> Iterator[_TaskRow]:
    runs, errors = app_state().metrics.task_runs(), schedule.last_errors(hashdb(), actor())
    for plan in schedule.BACKGROUND_TASKS:
        run, error = runs[plan.task], errors.get(plan.task)
        yield _TaskRow(
            plan,
            # `seconds` is 0 until the first run; until then `succeeded_at` is the start of the worker. It stays 0 if
            # the task runs only on demand.
            datetime.fromtimestamp(run.succeeded_at, UTC) if run.seconds and run.succeeded_at else None,
            run.seconds,
            int(run.errors),
            None if error is None else error.at,
            "" if error is None else error.text,
        )


def _settings(settings: Settings) -> Iterator[tuple[str, str, bool, str]]:
    """Each setting of the service: its name, its value, whether it was set, its meaning."""
    for name, field in Settings.model_fields.items():
        meaning = field.description or ""
        if not meaning.startswith("(member's side)"):
            value = getattr(settings, name)
            yield f"HASHDB_{name.upper()}", _format_value(value), name in settings.model_fields_set, meaning


def _format_value(value: object) -> str:
    if isinstance(value, SecretStr):
        return "set (hidden)"
    if value is None or value == "" or (isinstance(value, Collection) and not value):
        return "none"
    if value == DEFAULT_LABELS:
        # The path depends only on where the package is installed.
        return "built in"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, frozenset):
        return ",".join(sorted(map(str, value)))
    if isinstance(value, dict):
        return ",".join(f"{key}={part}" if key else str(part) for key, part in value.items())
    # An address may have a password, as in `redis://:password@host`.
    return re.sub("(?<=://)[^/]*@", "(hidden)@", str(value))
