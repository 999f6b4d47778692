"""The console's figures in SQL: some are stored and follow the log, others are counted when they are read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from datetime import date, datetime

from sqlalchemy import exists, func, select, update

from hashdb.domain.contributions import Standing, Status
from hashdb.domain.ledger.events import Action
from hashdb.domain.review.cases import Decision, Stance
from hashdb.domain.stats.overviews import EVERYONE, Deltas, ReviewBacklog, TotalCount
from hashdb.store.repositories import Repository
from hashdb.store.tables import cases, contributions, events, figures_by_day, figures_in_all, followed, opinions


class Overviews(Repository):
    """Figures within one transaction; `what` is the name of a figure, a `TotalCount` such a name and a member."""

    def last_seq(self) -> int:
        """The seq of the last event that is counted."""
        return int(self._connection.execute(select(followed.c.seq)).scalar_one())

    def add(self, deltas: Deltas, after: int) -> bool:
        """Add the changes of the events past seq `after`; False, without a change, if another process has."""
        advance = update(followed).where(followed.c.seq == after).values(seq=deltas.seq)
        if not self._connection.execute(advance).rowcount:
            return False
        by_day = [{**key._asdict(), "day": key.day.isoformat(), "times": n} for key, n in sorted(deltas.by_day.items())]
        self._upsert(figures_by_day, by_day, sum_columns=("times",))
        in_all = [{**key._asdict(), "times": times} for key, times in sorted(deltas.in_all.items())]
        self._upsert(figures_in_all, in_all, sum_columns=("times",))
        return True

    def by_day(self, since: date) -> dict[date, Counter[str]]:
        """The figures of all members together, by day, from the day `since` on."""
        table = figures_by_day.c
        query = select(table.day, table.what, table.times).where(
            table.day >= since.isoformat(), table.member == EVERYONE
        )
        figures: dict[date, Counter[str]] = defaultdict(Counter)
        for day, what, times in self._connection.execute(query):
            figures[date.fromisoformat(day)][what] = times
        return figures

    def by_member(self, since: date, what: Collection[str]) -> Counter[TotalCount]:
        """The sums of figures of each member over the days from `since` on."""
        table = figures_by_day.c
        query = (
            select(table.what, table.member, func.sum(table.times))
            .where(table.day >= since.isoformat(), table.what.in_(what), table.member != EVERYONE)
            .group_by(table.what, table.member)
        )
        return Counter({TotalCount(row[0], row[1]): int(row[2]) for row in self._connection.execute(query)})

    def totals(self) -> Counter[TotalCount]:
        """How many contributions of each member have each status and standing."""
        rows = self._connection.execute(select(*figures_in_all.c["what", "member", "times"]))
        return Counter({TotalCount(what, member): times for what, member, times in rows})

    def count_received(self, since: datetime) -> int:
        """How many contributions were received from an instant on."""
        return self._count(contributions.c.received_at >= since)

    def count_expiring(self, now: datetime, until: datetime) -> int:
        """How many active contributions expire before an instant."""
        logged, expires = contributions.c.announced, contributions.c.expires_at
        return self._count(logged == str(Status.ACTIVE), expires > now, expires <= until)

    def count_upheld(self) -> Counter[int]:
        """How many contributions of each member a decision upheld that no member confirms."""
        query = (
            select(contributions.c.member_id, func.count(contributions.c.id.distinct()))
            .join(cases, cases.c.contribution_id == contributions.c.id)
            .where(cases.c.decision == str(Decision.UPHOLD), contributions.c.standing == str(Standing.UNREVIEWED))
            .group_by(contributions.c.member_id)
        )
        return Counter(dict(map(tuple, self._connection.execute(query))))

    def count_quarantined(self) -> Counter[int]:
        """How many contributions of each member are quarantined under an open case in which nobody disputed."""
        disputed = exists().where(opinions.c.case_id == cases.c.id, opinions.c.opinion == str(Stance.DISPUTES))
        query = (
            select(contributions.c.member_id, func.count())
            .join(cases, cases.c.contribution_id == contributions.c.id)
            .where(cases.c.decision.is_(None), contributions.c.standing == str(Standing.QUARANTINED), ~disputed)
            .group_by(contributions.c.member_id)
        )
        return Counter(dict(map(tuple, self._connection.execute(query))))

    def count_suspected_keys(self, since: datetime) -> int:
        """How many keys were logged since a time because they may be reading hashes (`key.suspected`)."""
        query = select(func.count(events.c.subject_id.distinct())).where(
            events.c.subject_kind == "key", events.c.action == str(Action.KEY_SUSPECTED), events.c.at >= since
        )
        return self._connection.execute(query).scalar_one()

    def review_backlog(self, now: datetime, soon: datetime) -> ReviewBacklog:
        """The open cases, and when they are due."""
        opened = select(cases.c.due_at).where(cases.c.decision.is_(None))
        due = self._connection.scalars(opened).all()
        return ReviewBacklog(
            len(due), sum(at < now for at in due), sum(now <= at < soon for at in due), min(due, default=None)
        )
