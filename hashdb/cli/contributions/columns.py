"""The meaning of the columns of a list: the fields of a contribution, in the spellings of other systems."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Final, NamedTuple

from hashdb.domain.contributions import Draft
from hashdb.domain.signals import DIGESTS, Algorithm
from hashdb.domain.spelling import nearest
from hashdb.errors import Fault
from hashdb.wire.faults import path

FIELDS: Final = tuple(field.name for field in fields(Draft))
"""The columns, in the order in which `hashdb export` writes them."""
VPDQ: Final = "vpdq"
VIDEO: Final = "video_"
"""The prefix of a column with the digest of a video's file, as in `video_md5`."""
HASHES: Final = (*map(str, Algorithm), *(f"{VIDEO}{digest}" for digest in DIGESTS), VPDQ)
"""Columns that each hold the hashes of one algorithm; `url` may hold addresses, which are hashed when they are read."""
IMPLYING: Final = ("tier", "incident_level")
"""Columns of other organisations' codes, which set fields."""
COLUMN_NAMES: Final = (*FIELDS, "algorithm", "hash", *HASHES, *IMPLYING)
"""All that a column may hold."""
_NAMES_SHOWN, _MOST_NAMES = 20, 1_000
"""How many names of columns an error lists, and how many are kept."""
_SPELLINGS: Final = {
    "algorithm": "signal_type hash_type hash_algorithm algo indicator_type",
    "hash": "hashes hash_value signal_value hash_digest digest indicator signal fingerprint",
    "labels": "label",
    "removed_at": "removed removed_on removed_date removed_time removal_date removal_time date_removed date_of_removal",
    "notified_at": "notified notified_on notified_date notification_date notification_time date_notified",
    "expires_at": "expires expires_on expiry expiry_date expiration expiration_date expiration_time",
    "quality": "pdq_quality hash_quality",
    "media": "media_type content_type",
    "reference": "ref reference_id source_ref external_id external_reference",
    "tco_ground": "ground",
    "context": "contexts",
    "duration": "duration_seconds",
    "pdq": "image_pdq",
    "tier": "tcap_tier alert_tier",
    "incident_level": "activation activation_type incident_type",
    "url": "address link uri web_address",
    "vpdq": "video_vpdq hash_video_vpdq",
}
_WEAK: Final = {"type": "algorithm", "value": "hash"}
"""Names that are taken only if no other column holds the same."""


def normalize(name: str) -> str:
    """A name without its case, its spaces and its marks: `Removed At` and `removed-at` are both "removedat"."""
    return re.sub(r"[\W_]+", "", name.casefold())


_SPELLED: Final = {
    name: target for target in COLUMN_NAMES for name in (target, *_SPELLINGS.get(target, "").split())
} | {name: target for target in HASHES for name in (f"hash_{target}", f"{target}_hash")}
"""All names that are understood, each with what it holds."""
_TARGETS: Final = {normalize(name): target for name, target in _SPELLED.items()}
_HINTS: Final = tuple(name for name, target in _SPELLED.items() if target not in IMPLYING)
"""Names that are offered for a misspelled one; `tier` is near too many others."""
_ALGORITHM_NAMES: Final = {name: target for name, target in _TARGETS.items() if target in HASHES}


def to_algorithm(name: str) -> str | None:
    """The one of HASHES that a name means, also as HMA, StopNCII and ThreatExchange write it; None if it means none."""
    # StopNCII writes the name of an enumeration before its value: `StopNCIISignalType.ImagePDQ`.
    return _ALGORITHM_NAMES.get(normalize(name.rpartition(".")[2]))


class Plan(NamedTuple):
    """What some columns hold, each one of COLUMN_NAMES (None: it is not used), and the faults."""

    targets: tuple[str | None, ...]
    unused: tuple[str, ...]
    """The names to report as not used: without ignored ones, and without those of earlier plans of the list."""
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class Columns:
    """The meaning of the columns of one list, with the options that the member gave for them."""

    mapped: Mapping[str, str] = field(default_factory=dict)
    """The field of each column that the member named."""
    ignored: Sequence[str] = ()
    ignore_rest: bool = False
    used: dict[str, str] = field(default_factory=dict)
    """The names found so far that are used, each with what it holds."""
    unused: dict[str, None] = field(default_factory=dict)
    """The names found so far that are not used, ignored ones included; at most 1,000."""
    _found: set[str] = field(default_factory=set)
    """The normalized names that the member gave and that a column or key has."""
    _plans: dict[tuple[str, ...], Plan] = field(default_factory=dict)

    def plan(self, names: Sequence[str]) -> Plan:
        """The plan for a table's columns, or an object's keys."""
        known = self._plans.get(key := tuple(names))
        if known is not None:
            return known._replace(unused=())
        plan = self._plan(key)
        # A list may have other names in every object.
        if len(self._plans) < _MOST_NAMES:
            self._plans[key] = plan
        self._found.update({normalize(name) for name in (*self.mapped, *self.ignored)} & set(map(normalize, key)))
        self.used.update((name, target) for name, target in zip(key, plan.targets, strict=True) if target)
        new = [name for name in dict.fromkeys(plan.unused) if name not in self.unused][: _MOST_NAMES - len(self.unused)]
        self.unused.update(dict.fromkeys(new))
        return plan._replace(unused=tuple(name for name in new if not self._is_ignored(name)))

    def missing(self) -> list[Fault]:
        """A fault for each name that the member gave and that no column has."""
        faults = []
        for name in (*self.mapped, *self.ignored):
            if normalize(name) not in self._found:
                near = nearest(name, (*self.used, *self.unused))
                reason = "is named on the command line, but the list has no column or key of this name"
                faults.append(Fault(quote_name(name), reason + (f"; did you mean {quote_name(near)}?" if near else "")))
        return faults

    def unused_fault(self, names: Sequence[str], noun: str) -> Fault:
        """The fault of a list with columns or keys that are not used: it says what the member can do."""
        listed = ", ".join(map(self._with_nearest, names[:_NAMES_SHOWN]))
        if len(names) > _NAMES_SHOWN:
            listed += f" and {len(names) - _NAMES_SHOWN} more"
        what = f"this {noun} is" if len(names) == 1 else f"these {noun}s are"
        how = "pass --map THEIRS=FIELD to use one, --ignore-columns to leave out all"
        return Fault("", f"{what} not used: {listed}; {how}")

    def _with_nearest(self, name: str) -> str:
        near = nearest(name, _HINTS)
        if near is None or _SPELLED[near] in self.used.values():
            return quote_name(name)
        return f"{quote_name(name)} (is it `{_SPELLED[near]}`?)"

    def _plan(self, names: tuple[str, ...]) -> Plan:
        mapped = {normalize(theirs): ours for theirs, ours in self.mapped.items()}
        keys = [normalize(name) for name in names]
        targets: list[str | None] = [
            None if self._is_ignored_by_name(key) else mapped.get(key) or _TARGETS.get(key) for key in keys
        ]
        for position, key in enumerate(keys):
            weak = None if self._is_ignored_by_name(key) or targets[position] else _WEAK.get(key)
            if weak and weak not in targets:
                targets[position] = weak
        if "hash" not in targets:
            # A column `algorithm` names the algorithm of a column `hash`.
            targets = [None if target == "algorithm" else target for target in targets]
        pairs = list(zip(names, targets, strict=True))
        faults = []
        for target, count in Counter(filter(None, targets)).items():
            if count > 1:
                same = ", ".join(quote_name(name) for name, other in pairs if other == target)
                faults.append(
                    Fault(target, f"is in more than one column: {same}; leave one out (--ignore-column NAME)")
                )
        unused = tuple(name for name, target in pairs if target is None and normalize(name))
        return Plan(tuple(targets), unused, tuple(faults))

    def _is_ignored_by_name(self, key: str) -> bool:
        return any(normalize(name) == key for name in self.ignored)

    def _is_ignored(self, name: str) -> bool:
        return self.ignore_rest or self._is_ignored_by_name(normalize(name))


def quote_name(name: str) -> str:
    """A name of the member's list, cut, and without a hash in it: error texts may be logged."""
    # `path` cuts a long name and takes hashes out.
    return f"`{path((name,))}`"
