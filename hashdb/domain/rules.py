"""Rules: what the service accepts. Each rule returns a sentence about what is wrong, or None."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.contributions import UNSET
from hashdb.domain.review.incidents import Retention
from hashdb.domain.signals import MINIMUM_QUALITY, OF_TEXTS, Algorithm, Signal
from hashdb.domain.vocabulary import Vocabulary, incident_fault
from hashdb.errors import Fault

if TYPE_CHECKING:
    # Only the annotations need it.
    from hashdb.domain.contributions import Amendment, Draft
    from hashdb.domain.ledger.policies import Policy
    from hashdb.domain.matching.benign import BenignDraft
    from hashdb.domain.matching.matches import Query
    from hashdb.domain.review.cases import OpinionDraft

DRAFTS_A_REQUEST = 1_000
QUERIES_A_REQUEST = 1_000
SIGNALS_A_REQUEST = 4_000
SIGNALS_A_LOOKUP = 1_000
CLOCK_SKEW = timedelta(minutes=5)
"""How far a client's clock may be ahead of the service's."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules in force: algorithms, radii, labels, and the limits that the operator set."""

    algorithms: tuple[Algorithm, ...]
    """The algorithms of pictures in force. Those of texts and the digests always are."""
    vocabulary: Vocabulary
    max_radius: Mapping[Algorithm, int] = field(default_factory=dict)
    """The largest radius in bits that a query may ask for, if it is not the default one."""
    time_to_decide: timedelta = timedelta(hours=72)
    """How long after its opening a case is due."""
    case_idle: timedelta = timedelta(minutes=15)
    """How long a reviewer keeps a taken case without using its page."""
    due_soon: timedelta = timedelta(hours=24)
    """How long before its due time a case is reported by webhook and by mail."""
    mails: bool = False
    """Whether the service sends mail."""
    retention: Retention = field(default_factory=lambda: Retention({}))
    two_persons: bool = False
    """Whether the actions of `TwoPersonAction` need a second person."""
    flood_cap: int | None = None
    """The hits within an hour above which a contribution is quarantined; None: no limit."""
    webhook_egress: EgressPolicy | None = field(default_factory=EgressPolicy)
    """The addresses that webhooks may have; None: webhooks are disabled."""
    egress: EgressPolicy = field(default_factory=EgressPolicy)
    """The addresses that witnesses may have, and other services whose lists this one follows."""
    budgets: Mapping[Budget, int] = field(default_factory=dict)
    """The amounts of budgets that the operator set."""
    witnesses: Policy | None = None
    """The witnesses of the log's checkpoints; those that have a URL are asked."""
    organisations: Policy | None = None
    """The organisations that sign the root of the active set."""

    @property
    def asks_witnesses(self) -> bool:
        """Whether the service asks any witness."""
        return self.witnesses is not None and bool(self.witnesses.witnesses_with_url)

    @property
    def searched_algorithms(self) -> tuple[Algorithm, ...]:
        """The algorithms whose values are searched by distance: those of pictures in force, and those of texts."""
        return (*self.algorithms, *OF_TEXTS)

    def algorithm_fault(self, algorithm: Algorithm) -> str | None:
        """Why signals of `algorithm` are not accepted, or None."""
        if algorithm in self.algorithms or algorithm.is_digest or algorithm.of_text:
            return None
        return f"{algorithm} is not enabled on this service: {', '.join(self.algorithms)}"

    def accepts(self, signal: Signal) -> bool:
        """Whether signals of its algorithm are accepted."""
        return self.algorithm_fault(signal.algorithm) is None

    def signal_fault(self, signal: Signal) -> str | None:
        """Why `signal` may not be contributed, or None."""
        return self.algorithm_fault(signal.algorithm) or signal.fault()

    def radius_fault(self, algorithm: Algorithm, radius: int) -> str | None:
        """Why a query may not ask for `radius` bits, or None."""
        widest = max(algorithm.radius, self.max_radius.get(algorithm, 0))
        if 0 <= radius <= widest:
            return None
        return f"the radius of {algorithm} must be 0 to {widest} bits on this service"

    def draft_faults(self, draft: Draft, now: datetime) -> Iterator[Fault]:
        """Every fault of a draft, at its field."""
        for position, signal in enumerate(draft.signals):
            if reason := (signal.algorithm.of_text and item_signal_fault(signal)) or self.signal_fault(signal):
                yield Fault(f"signals[{position}]", reason)
        if reason := quality_fault(draft.quality):
            yield Fault("quality", reason)
        for name, at in (("removed_at", draft.removed_at), ("notified_at", draft.notified_at)):
            if at is not None and (reason := past_fault(at, now)):
                yield Fault(name, reason)
        if draft.expires_at is not None and (reason := future_fault(draft.expires_at, now)):
            yield Fault("expires_at", reason)
        yield from self._code_faults("behaviour", "labels", draft.labels)
        yield from self._code_faults("context", "context", draft.context)
        yield from self._single_faults(draft.basis, draft.tco_ground, draft.entity, draft.incident)

    def benign_faults(self, draft: BenignDraft) -> Iterator[Fault]:
        """Every fault of a benign entry, at its field."""
        for position, signal in enumerate(draft.signals):
            reason = self.algorithm_fault(signal.algorithm)
            if signal.algorithm.is_digest:
                reason = f"{signal.algorithm} is a digest, which matches only equal content"
            if reason:
                yield Fault(f"signals[{position}]", reason)
        for algorithm, radius in draft.radius.items():
            # A larger radius would suppress signals of other content.
            if not 0 <= radius <= algorithm.radius:
                yield Fault(f"radius.{algorithm}", f"the radius of {algorithm} must be 0 to {algorithm.radius} bits")

    def amendment_faults(self, change: Amendment, now: datetime) -> Iterator[Fault]:
        """Every fault of a change to a contribution, at its field."""
        if change.labels is not UNSET:
            yield from self._code_faults("behaviour", "labels", change.labels)
        if change.context is not UNSET:
            yield from self._code_faults("context", "context", change.context)
        if change.expires_at is not UNSET and change.expires_at is not None:
            if reason := future_fault(change.expires_at, now):
                yield Fault("expires_at", reason)
        basis = None if change.basis is UNSET else change.basis
        incident = None if change.incident is UNSET else change.incident
        yield from self._single_faults(basis=basis, incident=incident)

    def query_faults(self, query: Query) -> Iterator[Fault]:
        """Every fault of a query, at its field."""
        for position, signal in enumerate(query.signals):
            if reason := self.algorithm_fault(signal.algorithm):
                yield Fault(f"signals[{position}]", reason)
        for name, signals in query.transforms.items():
            for position, signal in enumerate(signals):
                if reason := self.algorithm_fault(signal.algorithm):
                    yield Fault(f"transforms.{name}[{position}]", reason)
        for algorithm, radius in query.radius.items():
            if reason := self.radius_fault(algorithm, radius):
                yield Fault(f"radius.{algorithm}", reason)

    def queries_faults(self, queries: Sequence[Query]) -> Iterator[Fault]:
        """Every fault of the queries of a request, each at a path like `queries[3].radius.pdq`."""
        for position, query in enumerate(queries):
            for fault in self.query_faults(query):
                yield Fault(f"queries[{position}].{fault.at}", fault.reason)

    def opinion_faults(self, draft: OpinionDraft) -> Iterator[Fault]:
        """Every fault of an opinion, at its field."""
        reason = draft.fault()
        if reason is None and draft.reason is not None:
            reason = self.vocabulary.fault("reason", draft.reason)
        if reason:
            yield Fault("reason", reason)

    def _code_faults(self, kind: str, at: str, codes: tuple[str, ...]) -> Iterator[Fault]:
        """A fault for each code of a list that the vocabulary does not have."""
        for position, code in enumerate(codes):
            if reason := self.vocabulary.fault(kind, code):
                yield Fault(f"{at}[{position}]", reason)

    def _single_faults(
        self,
        basis: str | None = None,
        tco_ground: str | None = None,
        entity: str | None = None,
        incident: str | None = None,
    ) -> Iterator[Fault]:
        """A fault for each of these codes that is invalid; None is not checked."""
        reasons = {
            "basis": None if basis is None else self.vocabulary.fault("basis", basis),
            "tco_ground": None if tco_ground is None else self.vocabulary.fault("tco_ground", tco_ground),
            "entity": None if entity is None else self.vocabulary.entity_fault(entity),
            "incident": None if incident is None else incident_fault(incident),
        }
        yield from (Fault(at, reason) for at, reason in reasons.items() if reason)


def quality_fault(quality: int | None) -> str | None:
    """Why a picture of this PDQ quality (0 to 100) is unfit for matching, or None."""
    if quality is None or quality >= MINIMUM_QUALITY:
        return None
    low = f"quality {quality} is too low: the hash would match other pictures by accident"
    return f"{low}; the minimum is {MINIMUM_QUALITY}"


def item_signal_fault(signal: Signal) -> str | None:
    """Why `signal` may not be contributed as a signal of the item itself (not of a frame), or None."""
    return f"{signal.algorithm} belongs to a window of words: send it in `frames`" if signal.algorithm.of_text else None


def past_fault(at: datetime, now: datetime) -> str | None:
    """Why a past event cannot have the time `at`, or None."""
    return None if at <= now + CLOCK_SKEW else "must not be in the future"


def future_fault(at: datetime, now: datetime) -> str | None:
    """Why a future event cannot have the time `at`, or None."""
    return None if at > now else "must be in the future"
