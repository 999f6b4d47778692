"""Metrics that a scrape reads: of the store, the index and the log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hashdb import __version__
from hashdb.domain.accounts.members import MemberKind
from hashdb.domain.signals import Algorithm
from hashdb.domain.stats.counts import ANY_ALGORITHM, AccessRefusal, CountKind, QueryOutcome
from hashdb.errors import InvalidInput
from hashdb.service.health import Vitals
from hashdb.service.schedule import BACKGROUND_TASKS

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_ZERO_COUNTS = tuple(
    (kind, member, algorithm, outcome)
    for kind, algorithms, outcomes in (
        (CountKind.QUERY, (ANY_ALGORITHM, *Algorithm), (QueryOutcome.HIT, QueryOutcome.NONE)),
        (CountKind.HIT, (ANY_ALGORITHM, *Algorithm), (QueryOutcome.OWN, QueryOutcome.OTHERS)),
        # Most codes of refused contributions name a field. They are too many: each appears when it is first counted.
        (CountKind.REFUSAL, (ANY_ALGORITHM,), (InvalidInput.slug,)),
        (CountKind.ACCESS, (ANY_ALGORITHM,), tuple(AccessRefusal)),
    )
    for member in MemberKind
    for algorithm in algorithms
    for outcome in outcomes
)
"""The counts that are exported as 0 from the start."""


class VitalsCollector:
    """A collector of the figures that a scrape read from the store and the index."""

    def __init__(self, figures: Vitals) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """The metrics of these figures."""
        from prometheus_client.core import CounterMetricFamily

        figures = self._figures
        counted = CounterMetricFamily(
            "hashdb_counts",
            "Counts that are stored by day and sealed: queries, hits, refused contributions, refused requests.",
            labels=("kind", "member_kind", "algorithm", "outcome"),
        )
        numbers: dict[tuple[str, str, str, str], int] = dict.fromkeys(_ZERO_COUNTS, 0)
        for total in figures.count_totals:
            numbers[total.count_kind, total.member_kind, total.algorithm or ANY_ALGORITHM, total.outcome] = total.times
        for labels, times in numbers.items():
            counted.add_metric(labels, times)
        yield counted
        yield from _labelled(figures)
        yield from _figures(figures)


def _labelled(figures: Vitals) -> Iterator[Metric]:
    """The metrics that have a number for each value of a label."""
    from prometheus_client.core import GaugeMetricFamily

    sizes, witnesses = figures.index_sizes.items(), figures.witnesses
    tiers = [((str(name), "memory"), size.in_memory) for name, size in sizes]
    tiers += [((str(name), "files"), size.in_files) for name, size in sizes]
    caught_up = [(upstream.id, upstream.caught_up_at) for upstream in figures.upstreams]
    for name, help, labels, rows in (
        ("hashdb_index_values", "Values in the index of the worker that responds.", ("algorithm", "tier"), tiers),
        ("hashdb_feed_events", "The seq up to which a valid key has read the feed.", ("key",),
         [((str(key),), seq) for key, seq in figures.feed_readers]),
        ("hashdb_upstream_caught_up_timestamp_seconds", "When a list was last read to its end.", ("upstream",),
         [((str(id),), at.timestamp() if at else 0) for id, at in caught_up]),
        ("hashdb_witness_events", "Events of the last checkpoint that a witness cosigned.", ("witness",),
         [((witness.name,), state.size) for witness, state in witnesses]),
        ("hashdb_witness_refused", "1 if a witness says that the log was rewritten or shortened.", ("witness",),
         [((witness.name,), state.refused) for witness, state in witnesses]),
        ("hashdb_background_period_seconds", "Seconds between two runs of a background task.", ("task",),
         [((str(plan.task),), plan.every) for plan in BACKGROUND_TASKS if plan.every is not None]),
        ("hashdb_build_info", "The version of the worker that responds.", ("version",), [((__version__,), 1)]),
    ):  # fmt: skip
        gauge = GaugeMetricFamily(name, help, labels=labels)
        for values, number in rows:
            gauge.add_metric(values, number)
        yield gauge


def _figures(figures: Vitals) -> Iterator[Metric]:
    """The metrics that are one number each."""
    from prometheus_client.core import GaugeMetricFamily

    for name, help, value in (
        ("hashdb_log_events", "Events in the log.", figures.head_seq),
        ("hashdb_log_signed_events", "Events that the last signed checkpoint covers.", figures.signed_seq),
        ("hashdb_log_uncosigned_seconds",
         "Age of the oldest checkpoint that waits for the quorum of witnesses; 0 without witnesses.",
         figures.uncosigned_time.total_seconds()),
        ("hashdb_index_lag_events", "Events that the index of the worker that responds has not read yet.",
         max(0, figures.head_seq - figures.index_seq)),
        ("hashdb_cases_open", "Open cases.", figures.open_cases),
        ("hashdb_cases_late", "Open cases whose decision is overdue.", figures.overdue_cases),
        ("hashdb_backup_verified_timestamp_seconds",
         "When a backup was last restored in a test and its log verified; 0 if never.",
         0 if figures.backup_verified_at is None else figures.backup_verified_at.timestamp()),
        ("hashdb_webhook_deliveries_retrying", "Deliveries to webhooks that failed and will be retried.",
         figures.retrying_deliveries),
    ):  # fmt: skip
        yield GaugeMetricFamily(name, help, value)
    if (server := figures.postgresql) is not None:
        for name, help, value in (
            ("connections", "Client connections of PostgreSQL.", server.connections),
            ("max_connections", "Connections that PostgreSQL allows.", server.max_connections),
            ("standbys", "Standbys connected to PostgreSQL.", server.standbys),
            (
                "replication_lag_bytes",
                "Bytes of the PostgreSQL log that the slowest standby has not replayed.",
                server.lag,
            ),
        ):
            yield GaugeMetricFamily(f"hashdb_postgresql_{name}", help, value)
