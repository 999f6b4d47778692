"""Attacks on matching: the least change with which a listed picture escapes, or a harmless one matches a listed one.

The domain decides whether a changed picture matches, as in the service: after it was saved as PNG, and as JPEG 95.
Changes are measured in decibels of the peak signal-to-noise ratio: the more decibels, the smaller the change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from hashdb.domain.matching.matches import Match, transform_radius
from hashdb.domain.rules import quality_fault
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import Algorithm, Profile, Signal, match_radius
from hashdb.domain.signatures import Kind, Signature
from hashdb.errors import UnreadablePicture
from hashdb.evaluation.bending import (
    QUARTERS,
    Bender,
    Demands,
    View,
    decibels_between,
    demands,
    signs_of,
    signs_of_quarter,
    tilted_view,
)
from hashdb.evaluation.catalogue import Catalogue, query_of, stored_item
from hashdb.evaluation.processes import run
from hashdb.evaluation.samples import Unfit
from hashdb.hashing import DEFAULT_LIMITS, Limits, hash_transforms, hash_variants, read_file
from hashdb.hashing.borders import find_borders
from hashdb.hashing.cuts import cut_windows
from hashdb.hashing.pictures import Picture, read_picture
from hashdb.hashing.reductions import Floats
from hashdb.hashing.secret_views import secret_windows
from hashdb.hashing.transforms import TILT_DEGREES, WITHOUT_EDGES
from hashdb.hashing.windows import WHOLE, phash256_signal

BUDGETS: Final = (48, 44, 40, 38, 36, 34, 33, 32, 31, 30, 28)
"""Decibels that an attacker tries, least change first."""
_LONGEST_SIDE = 640  # pixels to which pictures are reduced
_STEPS, _SLACK = 60, 4  # steps of `Bender.bend`, and bits that are demanded beyond those that are needed
_SHARES: Final = (0.3, 0.4)
"""Shares of the bits of a detail that an attacker tries to change."""
_AGREEING: Final = 0.75
"""The share of these bits that an attacker keeps as they are stored."""
_TRIED: Final = 2
"""Pairs of a view and a stored value onto which an attacker bends a picture."""
_OWN_SEEDS = 20
"""Seeds that an attacker draws, who knows how secret views are made: a change that escapes all may escape others."""


class Attack(StrEnum):
    """Who attacks, and what decides whether the changed picture matches."""

    EVADE_PDQ = "escapes PDQ alone; knows PDQ"
    EVADE_BLIND = "escapes; knows PDQ only"
    EVADE_OPEN = "escapes a service without secret views; knows the code"
    EVADE_CODE = "escapes; knows the code"
    EVADE_AVERAGE = "escapes; knows the code, draws secret views of its own"
    EVADE_SECRET = "escapes; knows the code and the secret"
    EVADE_SIGNATURES = "escapes by its signatures; knows the code"
    BEND_PDQ = "is bent onto PDQ alone"
    BEND_PHASH256 = "is bent onto phash256 alone"
    BEND_BOTH = "is bent onto PDQ and phash256"
    BEND = "is bent onto a match"


class Service:
    """What a service with these seeds of secret views stores of one picture, and how it matches uploads."""

    def __init__(
        self, octets: bytes, algorithms: Sequence[Algorithm], profile: Profile, seeds: Sequence[Seed] = ()
    ) -> None:
        self.algorithms, self._seeds = algorithms, seeds
        self.stored = stored_item(hash_variants(octets, algorithms, profile, seeds=seeds))
        self._catalogue = Catalogue({0: self.stored})

    def match(self, octets: bytes) -> Match | None:
        """How an uploaded file matches the listed picture; None if it does not."""
        query = query_of(hash_transforms(octets, self.algorithms, seeds=self._seeds), {})
        return self._catalogue.matches(query).get(0)

    @property
    def detail(self) -> Signature | None:
        """The stored detail of the whole picture, if there is one."""
        details = (signature for signature in self.stored.signatures if signature.kind is Kind.DETAIL)
        return next(details, None)

    def values(self, algorithm: Algorithm) -> list[Signal]:
        """The stored signals of an algorithm; first that of the whole picture."""
        return [signal for signal in self.stored.signals if signal.algorithm is algorithm]


class Attacked(NamedTuple):
    """The decibels of each attack on the picture at a place (its position among all), None for those that failed."""

    place: int
    decibels: Mapping[Attack, float | None]


class AttackJob(NamedTuple):
    """A listed picture that evades, its position among all; and a harmless one that is bent onto the listed one."""

    place: int
    listed: Path
    harmless: Path


class AttackScheme(NamedTuple):
    """What is attacked: a service with these algorithms and the balanced profile."""

    algorithms: tuple[Algorithm, ...]
    limits: Limits = DEFAULT_LIMITS
    attacks: tuple[Attack, ...] = tuple(Attack)


def jobs_of(paths: Sequence[Path]) -> list[AttackJob]:
    """Every picture is listed once, and another, half of the folder away, is the harmless one."""
    count = len(paths)
    return [AttackJob(place, path, paths[(place + count // 2) % count]) for place, path in enumerate(paths)]


def attack(job: AttackJob, scheme: AttackScheme) -> Attacked | Unfit:
    """Attack one picture in every way of the scheme."""
    try:
        original, harmless = (_read(path, scheme.limits) for path in (job.listed, job.harmless))
    except UnreadablePicture as refusal:
        return Unfit(job.place, str(refusal))
    octets = saved(original, "PNG")
    if reason := quality_fault(hash_variants(octets, (Algorithm.PDQ,), Profile.PLAIN).quality):
        return Unfit(job.place, reason)
    secret = [_seed(f"secret {job.place}")]
    by_pdq = Service(octets, (Algorithm.PDQ,), Profile.PLAIN)
    by_phash256 = Service(octets, (Algorithm.PHASH256,), Profile.PLAIN)
    if not by_pdq.stored.signals or not by_phash256.stored.signals:
        return Unfit(job.place, "its hashes are not those of an ordinary picture")
    without = Service(octets, scheme.algorithms, Profile.BALANCED)
    service = Service(octets, scheme.algorithms, Profile.BALANCED, secret)
    own = [_seed(f"own {job.place} {number}") for number in range(_OWN_SEEDS)]
    attempts = {
        Attack.EVADE_PDQ: lambda: evade(original, by_pdq, by_pdq),
        Attack.EVADE_BLIND: lambda: evade(original, by_pdq, service),
        Attack.EVADE_OPEN: lambda: evade(original, without, without),
        Attack.EVADE_CODE: lambda: evade(original, without, service),
        Attack.EVADE_AVERAGE: lambda: evade(original, without, service, own),
        Attack.EVADE_SECRET: lambda: evade(original, without, service, secret),
        Attack.EVADE_SIGNATURES: lambda: evade_by_detail(original, service),
        Attack.BEND_PDQ: lambda: collide(harmless, (by_pdq,)),
        Attack.BEND_PHASH256: lambda: collide(harmless, (by_phash256,)),
        Attack.BEND_BOTH: lambda: collide(harmless, (by_pdq, by_phash256)),
        Attack.BEND: lambda: collide_anywhere(harmless, service),
    }
    return Attacked(job.place, {name: attempts[name]() for name in scheme.attacks})


def evade(image: Image.Image, known: Service, judge: Service, seeds: Sequence[Seed] = ()) -> float | None:
    """The decibels of the least change that was found with which a listed picture escapes; None if none was found.

    The attacker knows what the service `known` stores and asks, and also escapes the secret views of these seeds.
    `judge` is the service that matches the changed picture.
    """
    wanted = [
        _Wanted(view, -signs_of(stored), min(match_radius(view.algorithm, stored.value, stored.value), radius) + 1)
        for name, view in _known_views(image, known.algorithms)
        for radius in [transform_radius(name, view.algorithm)]
        for stored in known.values(view.algorithm)
    ]
    picture = Picture(image)
    grey = picture.reduced
    for seed in seeds:
        for window in secret_windows(seed.octets):
            view = View(Algorithm.PHASH256, window)
            stored = phash256_signal(view.coefficients(picture, grey).reshape(16, 16))
            wanted.append(_Wanted(view, -signs_of(stored), transform_radius("secret", view.algorithm) + 1))
    return _grow(image, wanted, lambda octets: judge.match(octets) is None)


def evade_by_detail(image: Image.Image, judge: Service) -> float | None:
    """What `evade` returns, by a change of the detail alone, so that the verification contradicts the match."""
    if (detail := judge.detail) is None:
        return None
    plans = [_wanted_detail(detail, -1, share) for share in _SHARES]
    return _best(_grow(image, plan, lambda octets: judge.match(octets) is None) for plan in plans)


def collide(image: Image.Image, judges: Sequence[Service]) -> float | None:
    """The decibels of the least change that was found with which a picture matches by every judge; None if none was.

    Of each judge, the picture is bent onto the value of the whole.
    """
    wanted = [
        _Wanted(View(algorithm), signs_of(judge.values(algorithm)[0]), algorithm.bits - algorithm.radius)
        for judge in judges
        for algorithm in (Algorithm.PDQ, Algorithm.PHASH256)
        if judge.values(algorithm)
    ]
    return _grow(image, wanted, lambda octets: all(judge.match(octets) for judge in judges))


def collide_anywhere(image: Image.Image, judge: Service) -> float | None:
    """What `collide` returns, by the views and stored values of the least change, with the detail and without it."""
    onto = [
        _Wanted(view, signs_of(stored), view.algorithm.bits - transform_radius(name, view.algorithm))
        for name, view in _known_views(image, judge.algorithms)
        if not view.degrees
        for stored in judge.values(view.algorithm)
    ]
    bender, places = _bender(image, onto)
    cheapest = np.argsort(bender.costs(_demands(onto, places)), kind="stable")[:_TRIED]
    detail = [] if judge.detail is None else _wanted_detail(judge.detail, 1, _AGREEING)
    plans = [wanted for place in cheapest for wanted in ([onto[place]], [onto[place], *detail])]
    return _best(_grow(image, plan, lambda octets: judge.match(octets) is not None) for plan in plans)


def _best(decibels: Iterable[float | None]) -> float | None:
    return max((reached for reached in decibels if reached is not None), default=None)


def _wanted_detail(detail: Signature, sign: int, share: float) -> list[_Wanted]:
    """At least this share of the bits of a detail is as it is stored (sign 1), or is not (sign -1)."""
    return [
        _Wanted(View(Algorithm.PHASH256, quarter=quarter), sign * signs_of_quarter(detail, quarter), round(share * 256))
        for quarter in QUARTERS
    ]


class _Wanted(NamedTuple):
    """At least `bits` bits of a view are to have these signs: 1 for each coefficient above the threshold, else -1."""

    view: View
    signs: Floats
    bits: int


def _grow(image: Image.Image, wanted: Sequence[_Wanted], succeeds: Callable[[bytes], bool]) -> float | None:
    """The decibels of the first change that succeeds as PNG and as JPEG, of changes that grow by the budgets."""
    bender, places = _bender(image, wanted)
    needed = _demands(wanted, places)
    previous = None
    for budget in BUDGETS:
        bent = bender.bend(needed, budget, _STEPS)
        if bent != previous and all(succeeds(saved(bent, format)) for format in ("PNG", "JPEG")):
            return decibels_between(bent, image)
        previous = bent
    return None


def _bender(image: Image.Image, wanted: Sequence[_Wanted]) -> tuple[Bender, Mapping[View, int]]:
    """What bends the picture, and the number of each view."""
    places = {view: place for place, view in enumerate(dict.fromkeys(wish.view for wish in wanted))}
    return Bender(image, list(places)), places


def _demands(wanted: Sequence[_Wanted], places: Mapping[View, int]) -> Demands:
    """What is wanted as demands, with some bits more; `places` has the number of each view."""
    return demands([(places[wish.view], wish.signs, min(wish.bits + _SLACK, 256)) for wish in wanted])


def _known_views(image: Image.Image, algorithms: Sequence[Algorithm]) -> Iterator[tuple[str, View]]:
    """The views that everybody knows of a query with this picture: the name, as of a transform, and the view.

    Panels, corners and the larger turns are left out: they show other parts than those that are stored of it.
    """
    grey = Picture(image).reduced
    named = [("", WHOLE), *find_borders(grey)]
    if Algorithm.PDQ in algorithms:
        yield from ((name, View(Algorithm.PDQ, window)) for name, window in named)
    if Algorithm.PHASH256 in algorithms:
        named += [("middle", WITHOUT_EDGES)]
        named += [(name, window) for name, windows in cut_windows(*image.size).items() for window in windows]
        yield from ((name, View(Algorithm.PHASH256, window)) for name, window in named)
        yield from (("tilt", tilted_view(degrees, grey)) for degrees in (TILT_DEGREES, -TILT_DEGREES))


def saved(image: Image.Image, format: str) -> bytes:
    """The picture as a file: PNG, or JPEG of quality 95."""
    out = BytesIO()
    image.save(out, format, quality=95, compress_level=1)
    return out.getvalue()


def _seed(words: str) -> Seed:
    """A seed that depends on nothing but these words."""
    return Seed(1, sha256(words.encode()).digest())


def _read(path: Path, limits: Limits) -> Image.Image:
    image = read_picture(read_file(path, limits), limits).colour
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    return image


def attack_all(jobs: Sequence[AttackJob], scheme: AttackScheme, processes: int) -> Iterator[Attacked | Unfit]:
    """What the attacks on each picture reached, in order. One process means this process."""
    return run(partial(attack, scheme=scheme), jobs, processes)
