"""What is hashed of a picture: of one that is contributed, by profile; of one that is asked about, with transforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from hashdb.domain.profiles import Profile
from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing.pdq import pdq
from hashdb.hashing.perceptual import perceptual
from hashdb.hashing.pictures import Picture
from hashdb.hashing.transforms import transforms
from hashdb.hashing.variants import variants
from hashdb.index.words import Words, pack

PROFILES: Final = tuple(map(str, Profile))
"""How many variants of a picture are contributed, least first."""

Hashes: TypeAlias = Mapping[Algorithm, Words]
"""For each algorithm the values of a picture, shape (values, bits / 64); there may be none."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """What is measured: with which algorithms and profiles, under which alterations, and from which seed."""

    algorithms: tuple[Algorithm, ...]
    profiles: tuple[str, ...]
    alterations: tuple[str, ...]
    seed: int = 0
    radii: Mapping[Algorithm, int] = field(default_factory=dict)
    """Of those algorithms whose default radius is not meant."""

    def radius(self, algorithm: Algorithm) -> int:
        """The radius in force: the one that was given, or the default one."""
        return self.radii.get(algorithm, algorithm.radius)


def contributed(picture: Picture, algorithms: Sequence[Algorithm], profile: str) -> Hashes:
    """What a contribution of this picture stores: its own values and its variants', but none that is refused."""
    signals = [signal for signal in _own(picture, algorithms) if signal.fault() is None]
    if Algorithm.PHASH256 in algorithms:
        signals += variants(picture, Profile(profile))
    return _by_algorithm(signals, algorithms)


def asked(picture: Picture, algorithms: Sequence[Algorithm]) -> Hashes:
    """What a query with this picture asks for: first its own value, then what its transforms add."""
    turned = (signal for _, signals in transforms(picture, algorithms) for signal in signals)
    return _by_algorithm([*_own(picture, algorithms), *turned], algorithms)


def _own(picture: Picture, algorithms: Sequence[Algorithm]) -> list[Signal]:
    return [pdq(picture)[0] if one is Algorithm.PDQ else perceptual(picture, one) for one in algorithms]


def _by_algorithm(signals: Sequence[Signal], algorithms: Sequence[Algorithm]) -> Hashes:
    """Each algorithm's values, in order, each once."""
    values = {a: dict.fromkeys(signal.value for signal in signals if signal.algorithm is a) for a in algorithms}
    return {algorithm: pack(list(found), algorithm.bits) for algorithm, found in values.items()}
