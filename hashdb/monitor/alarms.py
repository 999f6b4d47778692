"""Alarms of a monitor: what does not hold, since when, and what to do; and the evidence that is kept of each."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from hashdb.connection import Poster
from hashdb.domain.times import format_instant, parse_instant
from hashdb.errors import os_reason
from hashdb.index.folder import opener

_TIMEOUT = 10.0  # Seconds.
_HEADERS = {"Content-Type": "application/json", "User-Agent": "hashdb-monitor"}
REPEATED_AFTER = timedelta(days=1)
"""After this time, an alarm that lasts is reported again."""
_AGAIN_AFTER = timedelta(hours=1)
"""After this time, an alarm that had ended is reported again."""


class AlarmKind(StrEnum):
    """What does not hold.

    `log-rewritten`: the log does not continue the events that were checked. `log-shortened`: it has fewer events than
    were checked. `unknown-key`: no trusted key signed a checkpoint or a root. `witness-differs`: a cosigned checkpoint
    is of another log. `not-witnessed`: the quorum of witnesses did not cosign in time.
    `signals-altered`: the signals of a contribution are not those that the log commits to. `signals-hidden`: more of
    them are suppressed than events say. `contribution-planted`: the service has a contribution that no event added.
    `contribution-removed`: it lacks one that an event added. `contribution-altered`: one has another status or standing
    than events give.
    `feed-differs`: the feed does not show what the log has. `set-differs`: a root of the active set is not the one that
    events give. `set-late`: no root was recorded in time. `set-unsigned`: the organisations did not sign one in time.
    `no-answer`: the service could not be checked.
    """

    LOG_REWRITTEN = "log-rewritten"
    LOG_SHORTENED = "log-shortened"
    UNKNOWN_KEY = "unknown-key"
    WITNESS_DIFFERS = "witness-differs"
    NOT_WITNESSED = "not-witnessed"
    SIGNALS_ALTERED = "signals-altered"
    SIGNALS_HIDDEN = "signals-hidden"
    CONTRIBUTION_PLANTED = "contribution-planted"
    CONTRIBUTION_REMOVED = "contribution-removed"
    CONTRIBUTION_ALTERED = "contribution-altered"
    FEED_DIFFERS = "feed-differs"
    SET_DIFFERS = "set-differs"
    SET_LATE = "set-late"
    SET_UNSIGNED = "set-unsigned"
    NO_ANSWER = "no-answer"


_STOP = "Stop matching with this service"
_OTHERS = "tell the other members and the authority that audits the service"
ADVICE: Mapping[AlarmKind, str] = {
    AlarmKind.LOG_REWRITTEN: f"{_STOP}; keep the evidence, and {_OTHERS}: the service signed both logs.",
    AlarmKind.LOG_SHORTENED: "Ask the operator whether a backup was restored. Contribute and withdraw again what the "
    f"log has lost. If nobody announced it, keep the evidence and {_OTHERS}.",
    AlarmKind.UNKNOWN_KEY: f"{_STOP}: another person may have its signing key or its address. Ask the operator by "
    "another way than this address.",
    AlarmKind.WITNESS_DIFFERS: f"{_STOP}; keep the evidence, and {_OTHERS}: compare your checkpoint with theirs.",
    AlarmKind.NOT_WITNESSED: "Ask the operator and the witnesses why. Until they cosign again, do not rely on later "
    "events: others may be shown another log.",
    AlarmKind.SIGNALS_ALTERED: "Do not act on matches of this contribution. Ask its member for the signals, and the "
    "operator who wrote to the database.",
    AlarmKind.SIGNALS_HIDDEN: "The contribution matches less than its member meant. Ask the operator which benign "
    "entry suppresses its signals, and who wrote to the database.",
    AlarmKind.CONTRIBUTION_PLANTED: "Do not act on matches of this contribution. Ask the operator who wrote to the "
    "database.",
    AlarmKind.CONTRIBUTION_REMOVED: "Ask the operator who wrote to the database. If it is yours, contribute it again.",
    AlarmKind.CONTRIBUTION_ALTERED: "Do not act on matches of this contribution. Ask the operator who wrote to the "
    "database.",
    AlarmKind.FEED_DIFFERS: f"Your copy lacks it, or only your copy has it: ask the operator, and {_OTHERS}.",
    AlarmKind.SET_DIFFERS: "Ask the operator to run `hashdb audit verify --signals`. Until the roots agree, compare "
    "your list with that of another member.",
    AlarmKind.SET_LATE: "Ask the operator why the service records no root: later changes are in no root yet.",
    AlarmKind.SET_UNSIGNED: "Ask the organisations of your policy whether their monitors raised an alarm, or stopped.",
    AlarmKind.NO_ANSWER: "Nothing was checked since then. Look at the address, the key and the network, then ask the "
    "operator.",
}
"""What to do, by the kind of an alarm."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that does not hold. `since` is the last time at which it was seen to hold, if ever."""

    kind: AlarmKind
    what: str
    subject: str = ""
    """What it is about, as `contribution 17`; empty: the log, or the service."""
    since: datetime | None = None
    evidence: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Texts by the name of their files."""

    @property
    def key(self) -> str:
        """Alarms with the same key are the same alarm."""
        return f"{self.kind} {self.subject}".strip()

    def __str__(self) -> str:
        """What does not hold, since when, and what to do."""
        before = "" if self.since is None else f" This check last passed at {format_instant(self.since)}."
        return f"{self.kind}: {self.what}.{before} {ADVICE[self.kind]}"

    def to_json(self, at: datetime) -> dict[str, object]:
        """The alarm as a webhook and the evidence have it."""
        return {
            "type": "monitor.alarm",
            "at": format_instant(at),
            "kind": str(self.kind),
            "subject": self.subject,
            "what": self.what,
            "since": None if self.since is None else format_instant(self.since),
            "todo": ADVICE[self.kind],
        }


class Reporter:
    """Keeps the evidence of each alarm in a folder of its own, and posts it. Only the owner can read the folders."""

    def __init__(self, folder: Path, webhook: str | None) -> None:
        """Creates the folder. Posts to `webhook`, if there is one. Raises BadSetting."""
        self._folder = folder
        self._waiting: dict[str, tuple[Alarm, Path]] = {}
        """The alarms that did not arrive, each with its folder, by `Alarm.key`."""
        self._lasting: frozenset[str] | None = None
        """The keys of the alarms of the last report; None: there was no report yet."""
        self._poster = None if webhook is None else Poster(webhook, _TIMEOUT, "--webhook")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def close(self) -> None:
        """Close the connection."""
        if self._poster is not None:
            self._poster.close()

    def report(self, alarms: Iterable[Alarm], at: datetime) -> Iterator[tuple[Alarm, Path, str | None]]:
        """Keep and post each alarm that was not posted within a day; yields it, its folder, and what failed, or None.

        One that ended and comes again is posted again after an hour. One that did not arrive is tried again at the next
        call, with its first evidence, also if it ended. After a failure, no other one is tried in this call, since the
        webhook may not answer.
        """
        now, reason = list(alarms), None
        failed_key = ""
        before, self._lasting = self._lasting, frozenset(alarm.key for alarm in now)
        new = [alarm for alarm in now if alarm.key not in self._waiting]
        for alarm in [*[alarm for alarm, _ in self._waiting.values()], *new]:
            waiting = self._waiting.get(alarm.key)
            if waiting is not None and alarm is not waiting[0]:
                continue
            lasts = before is None or alarm.key in before
            within = REPEATED_AFTER if lasts else _AGAIN_AFTER
            if self._poster is not None and self._was_posted(alarm, at, within):
                continue
            folder = waiting[1] if waiting is not None else self._folder / _folder_name(alarm, at)
            text = json.dumps(alarm.to_json(at), indent=2) + "\n"
            if self._poster is not None and reason is None:
                reason = self._poster.post(text.encode(), _HEADERS)
                failed_key = alarm.key if reason else ""
            trouble = reason and f"the alarm did not arrive at the webhook: {reason}; trying again"
            try:
                # The alarm's own file marks that it arrived.
                _keep(folder, {**alarm.evidence, **({} if reason else {_ALARM: text})})
            except OSError as error:
                trouble = f"the evidence cannot be kept: {os_reason(error)}"
            if reason is None:
                self._waiting.pop(alarm.key, None)
            else:
                self._waiting[alarm.key] = alarm, folder
            yield alarm, folder, trouble
        if failed_key:
            # The next call begins with another alarm: the webhook may reject only this one.
            self._waiting[failed_key] = self._waiting.pop(failed_key)

    def _was_posted(self, alarm: Alarm, at: datetime, within: timedelta) -> bool:
        # The name of the folder says which alarm it is of, so that not all alarms that were ever posted are read.
        for file in self._folder.glob(f"*-{_slug(alarm.key)}/{_ALARM}"):
            try:
                posted = json.loads(file.read_text("utf-8"))
                same = (posted["kind"], posted["subject"]) == (alarm.kind, alarm.subject)
                if same and at - parse_instant(posted["at"]) < within:
                    return True
            except (OSError, ValueError, LookupError, TypeError):
                continue
        return False


_ALARM = "alarm.json"


def _folder_name(alarm: Alarm, at: datetime) -> str:
    return f"{_slug(format_instant(at)[:19])}-{_slug(alarm.key)}"


def _slug(text: str) -> str:
    return re.sub(r"[^0-9a-z]+", "-", text.lower())


def _keep(folder: Path, texts: Mapping[str, str]) -> None:
    """Write the evidence of an alarm, by the name of its files, to disk. Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, text in texts.items():
        with open(folder / name, "w", encoding="utf-8", opener=opener) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
