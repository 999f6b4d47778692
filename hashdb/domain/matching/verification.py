"""Verify what the index suggested: how likely a contribution shows the picture of the query.

The index finds hashes that are near. Here all views of the query are compared with all signals and signatures of a
suggested contribution. If both sides have signatures, these decide: the details must correlate once one is laid over
the other, more strongly if they are not distinctive, and a difference of colours counts against the match. Hashes of
photographs are distinctive: if two of them agree, signatures cannot contradict the match, since an attacker who knows
the code can change a detail without a visible trace. The service and a member's copy call the same pure functions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.matching.details import coefficients_of, likeness, resemblance
from hashdb.domain.matching.matches import MAX_SCORE, Verdict, transform_radius
from hashdb.domain.signals import Algorithm, Signal, is_within_match_radius
from hashdb.domain.signatures import WHOLE, Kind, Signature

PARTS_OF_THE_WHOLE: Final = ("middle", "cut", "shape", "tile", "secret")
"""How the names of views begin that have no signatures of their own, as upright parts: the whole's are compared."""

_SCORE_WITHOUT_SPARE: Final = 4.0
"""The score of a match whose signatures agree just enough (`_Compared.spare` is 0)."""
_SPARE_A_POINT: Final = 0.06
"""The spare agreement that raises the score by 1."""
_GREYS: Final = 45
"""Grey levels between two colours that count as much against a match as a correlation of 1 counts for it."""
_NEEDED: Final = 0.49
"""The correlation that distinctive details need."""
_MORE_IF_PLAIN: Final = 0.1
"""How much more correlation plain details need, if colours are compared, too."""
_MORE_IF_PLAIN_AND_GREY: Final = 0.44
"""How much more correlation plain details need, if no colours are compared."""
_MORE_IF_FAR: Final = 0.1
"""How much more correlation details need, if the distance of the hashes is the whole radius."""
_LESS_IF_TILES_AGREE: Final = 0.15
"""How much less distinctive details need if two halves agree by their hashes: those of two cards of one app do not."""
_ENOUGH_SPARE: Final = 0.1
"""The spare agreement from which no further view is compared."""
_DISTINCTIVE: Final = 0.3
"""The share of bits that are set in a detail, from which it is distinctive."""
_PLAIN: Final = 0.12
"""The share of bits that are set in a detail, up to which it is entirely plain."""
_MAX_SPARE: Final = 0.2
"""The most spare agreement of details without set bits."""
_MAX_SPARE_A_SHARE: Final = 2.0
"""How much the most spare agreement grows with the share of bits that are set: by this, if all are set."""
_PHOTO_BITS: Final = 0.37
"""The least share of bits that are set in the detail of a photograph."""
_PHOTO_LOW_BITS: Final = 0.4
"""The same, of the bits of low frequencies only."""
_LOW: Final = 16
"""A bit of a detail is of a low frequency if the sum of its row and its column is less than this."""
_MAX_PHOTO_SPREAD: Final = 22.0
"""The most grey levels, on average, from a part of a photograph to its mean colour; flags have more."""
_SAME_COLOUR: Final = 2.0
"""Grey levels within which two parts have the same colour."""
_MAX_SAME: Final = 11
"""The most parts of a photograph, of 16, that have the same colour; cards have more."""
_NEEDED_ALONE: Final = 0.36
"""The correlation that details of a photograph need if only one hash agrees: different pictures have up to 0.3."""
_MIN_FACTOR: Final = 0.5
"""A filter may multiply all colours by a factor from this to 1."""
_MAX_SHIFT: Final = 12.0
"""A filter may shift all colours by so many grey levels."""
_MAX_TINT_SPREAD: Final = 8
"""The most grey levels from a part to the mean colour in a grey or tinted copy."""
_MAX_TINT: Final = 32
"""The most grey levels from the mean colour of a grey or tinted copy to grey."""
_NEUTRAL: Final = 128
"""Cb and Cr of grey."""
_SIDE: Final = 32
"""Rows and columns of a detail."""
_BITS: Final = 256
"""The length of the signals that are compared."""
_STRIP: Final = "tile"
"""How the names of the views begin that are halves or strips of the picture."""
_TILTED: Final = ("tilt-left", "tilt-right")
_ALWAYS: Final = ("mirror", *_TILTED)
"""Views that are compared even if no hash of theirs is near, since hashes of flags are not distinctive."""


class Agreement(NamedTuple):
    """A view of a query, a signal of a contribution within the algorithm's radius of it, and the distance in bits."""

    view: str
    signal: Signal
    bits: int

    @property
    def radius_share(self) -> float:
        """The distance as a share of the radius."""
        return self.bits / self.signal.algorithm.radius

    @property
    def is_within_own_radius(self) -> bool:
        """Whether it is within the default radius of the view, which is narrower for parts."""
        return self.bits <= transform_radius(self.view, self.signal.algorithm)


class PreparedQuery:
    """A query as it is verified: prepared once, compared with each suggested contribution."""

    def __init__(self, views: Mapping[str, Iterable[Signal]], signatures: Mapping[str, Iterable[Signature]]) -> None:
        """`views` are the signals by view, those of the item itself by the name `WHOLE`; so are `signatures`.

        A view may be in either mapping or in both.
        """
        self.names = tuple(sorted(views, key=lambda name: name != WHOLE))
        self.signatures = {name: tuple(of_view) for name, of_view in signatures.items()}
        self.overlays = 0
        """How many details were laid over others for this query."""
        self._signals: dict[Algorithm, list[tuple[str, Signal]]] = {}
        """By algorithm, the name of a view and a signal of it."""
        for name in self.names:
            for signal in views[name]:
                if signal.algorithm.bits == _BITS and not signal.algorithm.is_digest:
                    self._signals.setdefault(signal.algorithm, []).append((name, signal))
        self._values = {
            algorithm: _as_uint64([signal for _, signal in own]) for algorithm, own in self._signals.items()
        }

    def agreements(self, signals: Iterable[Signal]) -> list[Agreement]:
        """Each view of the query with a signal within the radius of one of these signals, and this signal."""
        by_algorithm: dict[Algorithm, list[Signal]] = {}
        for signal in signals:
            by_algorithm.setdefault(signal.algorithm, []).append(signal)
        agreements: list[Agreement] = []
        for algorithm, own in self._signals.items():
            if not (listed := by_algorithm.get(algorithm)):
                continue
            # A row for each signal of the query, a column for each listed one.
            distances = np.bitwise_count(self._values[algorithm][:, None] ^ _as_uint64(listed)).sum(axis=2)
            for row, column in np.argwhere(distances <= algorithm.radius).tolist():
                (name, signal), other = own[row], listed[column]
                bits = int(distances[row, column])
                if is_within_match_radius(algorithm, bits, signal.value, other.value):
                    agreements.append(Agreement(name, other, bits))
        return agreements


def verify(
    query: PreparedQuery, signals: Iterable[Signal], signatures: Iterable[Signature], distances: Mapping[Signal, int]
) -> Verdict:
    """The verdict on one contribution, with all its signals and signatures, in the order in which they are stored.

    `distances` has those of its signals that the index found, with the distance in bits. They remain a match if either
    side has no signatures.
    """
    if any(signal.algorithm.is_digest for signal in distances):
        return Verdict(MAX_SCORE, (WHOLE,))
    agreements = query.agreements(signals)
    radius_share: dict[str, float] = {}
    for agreement in agreements:
        radius_share[agreement.view] = min(radius_share.get(agreement.view, math.inf), agreement.radius_share)
    views = tuple(name for name in query.names if name in radius_share)
    score = distance_score(tuple((signal.algorithm, bits) for signal, bits in distances.items()))
    listed = tuple(signatures)
    compared = _compare(query, radius_share, listed)
    if compared is None:
        return Verdict(score, views)
    verified = round(min(MAX_SCORE, max(0.0, _SCORE_WITHOUT_SPARE + compared.spare / _SPARE_A_POINT)), 1)
    hashes_suffice = is_photograph(listed) and (compared.correlation >= _NEEDED_ALONE or _agree_twice(agreements))
    score = max(score, verified) if hashes_suffice else verified
    contradicted = compared.spare < 0 and not hashes_suffice
    return Verdict(score, views, round((1 - compared.correlation) / 2, 3), compared.colour, contradicted)


def _agree_twice(agreements: Iterable[Agreement]) -> bool:
    """Whether two hashes agree, of different views or algorithms, with different signals."""
    within = [agreement for agreement in agreements if agreement.is_within_own_radius]
    queried = {(agreement.view, agreement.signal.algorithm) for agreement in within}
    return len(queried) > 1 and len({agreement.signal for agreement in within}) > 1


def is_photograph(listed: Iterable[Signature]) -> bool:
    """Whether signatures are like those of photographs, whose hashes are near those of no other picture.

    Details of cards and screens have few bits set, at low or at high frequencies. Flags have strong colours, cards have
    one. The listed signatures decide, since an attacker makes those of the query.
    """
    first = {signature.kind: signature for signature in reversed(tuple(listed))}
    detail, colour = first.get(Kind.DETAIL), first.get(Kind.COLOUR)
    return detail is not None and colour is not None and _is_photograph(detail, colour)


@lru_cache(1_024)
def _is_photograph(detail: Signature, colour: Signature) -> bool:
    """Whether these two signatures are like those of photographs."""
    bits = np.unpackbits(np.frombuffer(detail.octets, np.uint8)).reshape(_SIDE, _SIDE)
    low = np.add.outer(np.arange(_SIDE), np.arange(_SIDE)) < _LOW
    if bits.mean() < _PHOTO_BITS or bits[low].mean() < _PHOTO_LOW_BITS:
        return False
    parts = _planes(colour)
    same = (np.hypot(*(parts[:, None] - parts).T) <= _SAME_COLOUR).sum(axis=0)
    return bool(np.hypot(*(parts - parts.mean(axis=0)).T).mean() <= _MAX_PHOTO_SPREAD and same.max() <= _MAX_SAME)


@lru_cache(4_096)
def distance_score(distances: tuple[tuple[Algorithm, int], ...]) -> float:
    """The score of a match of which nothing is known but its distances in bits, by algorithm."""
    if any(algorithm.is_digest for algorithm, _ in distances):
        return MAX_SCORE
    nearest = max((1 - bits / algorithm.radius for algorithm, bits in distances), default=0.0)
    return round(max(0.0, 1.5 + 1.5 * nearest), 1)


class _Compared(NamedTuple):
    """How the signatures of a view agree with those of a contribution."""

    correlation: float
    bits_set: float
    """The share of the bits that are set in the detail that has fewer."""
    colour: float | None
    """The difference of their colours in grey levels; None if either side has none but grey ones."""
    radius_share: float
    """The distance of the hashes, as a share of the radius."""
    by_tiles: bool
    """Whether two halves agree by their hashes, as where a box covers the rest."""

    @property
    def spare(self) -> float:
        """How much more they agree than is needed. Below 0, the contribution does not show this picture.

        Where details are plain or hashes are far, they must agree more. Details that are plain cannot outweigh a
        colour that differs.
        """
        plain = min(1.0, max(0.0, (_DISTINCTIVE - self.bits_set) / (_DISTINCTIVE - _PLAIN)))
        needed = _NEEDED + plain * (_MORE_IF_PLAIN if self.colour is not None else _MORE_IF_PLAIN_AND_GREY)
        needed += _MORE_IF_FAR * max(0.0, 2 * self.radius_share - 1)
        if self.by_tiles and not plain:
            needed -= _LESS_IF_TILES_AGREE
        most = _MAX_SPARE + _MAX_SPARE_A_SHARE * self.bits_set
        return min(most, self.correlation - needed) - (self.colour or 0) / _GREYS


def _compare(query: PreparedQuery, views: Mapping[str, float], listed: Sequence[Signature]) -> _Compared | None:
    """How the signatures of the query agree with those of a contribution at best.

    `views` has the `radius_share` of each view that agrees, by name. None if one side has no detail with information.
    """
    stored = next((signature for signature in listed if signature.kind is Kind.DETAIL), None)
    stored_values = None if stored is None else coefficients_of(stored)
    if stored is None or stored_values is None:
        return None
    by_tiles = sum(name.startswith(_STRIP) for name in views) > 1
    best: _Compared | None = None
    for detail, colour, radius_share in _likely(query.signatures, views, listed, stored_values):
        query.overlays += 1
        values = coefficients_of(detail)
        if values is not None:
            bits_set = min(_share_set(detail), _share_set(stored))
            compared = _Compared(likeness(stored_values, values), bits_set, colour, radius_share, by_tiles)
            if best is None or compared.spare > best.spare:
                best = compared
            if best.spare >= _ENOUGH_SPARE:
                break
    return best


class _Detail(NamedTuple):
    """The detail of a view of a query, and its `coefficients_of`."""

    view: str
    signature: Signature
    values: NDArray[np.float32]


def _likely(
    signatures: Mapping[str, Sequence[Signature]],
    views: Mapping[str, float],
    listed: Sequence[Signature],
    stored_values: NDArray[np.float32],
) -> Iterator[tuple[Signature, float | None, float]]:
    """The details worth laying over the stored one, each with the difference of colours and its `radius_share`.

    These are of the nearest view, of the whole (of which most views are parts), of the view that resembles most, and of
    tilts.
    """
    near = dict[str, float]()
    for name in sorted(views, key=views.__getitem__):
        # Upright parts have no signatures: those of the whole are compared.
        near.setdefault(WHOLE if name.startswith(PARTS_OF_THE_WHOLE) else name, views[name])
    details = [
        _Detail(name, signature, values)
        for name in dict.fromkeys((*near, *signatures))
        for signature in signatures.get(name, ())
        if signature.kind is Kind.DETAIL and (values := coefficients_of(signature)) is not None
    ]
    if not details or not any(name in signatures for name in near):
        return
    colours = {name: _colour(signatures[name], listed) for name in {detail.view for detail in details}}
    farthest = max(near.values())
    resembling = max(
        (detail for detail in details if detail.view in near or detail.view in _ALWAYS),
        key=lambda detail: resemblance(stored_values, detail.values) - (colours[detail.view] or 0) / _GREYS,
        default=None,
    )
    nearest = next((detail for detail in details if detail.view in near), None)
    whole = next((detail for detail in details if detail.view == WHOLE), None)
    # A tilted copy that was cropped does not resemble before it is laid over. Where a strip agrees, nothing is tilted.
    is_strip = all(name.startswith(_STRIP) for name in views)
    likely = [nearest, whole, resembling, *(detail for detail in details if detail.view in _TILTED and not is_strip)]
    for name, signature in dict.fromkeys((detail.view, detail.signature) for detail in likely if detail is not None):
        yield signature, colours[name], near.get(name, farthest)


def _share_set(detail: Signature) -> float:
    """The share of the bits of a detail that are set, 0 to 1."""
    return int.from_bytes(detail.octets).bit_count() / (8 * len(detail.octets))


def _colour(queried: Iterable[Signature], listed: Iterable[Signature]) -> float | None:
    """The least `colour_difference` of both sides, in grey levels; None if either side has none but grey ones."""
    first, second = (
        [signature for signature in signatures if signature.kind is Kind.COLOUR and not is_grey(signature)]
        for signatures in (queried, listed)
    )
    return min((colour_difference(colour, other) for colour in first for other in second), default=None)


@lru_cache(4_096)
def colour_difference(first: Signature, second: Signature) -> float:
    """The mean difference of the parts in grey levels, one decimal, without what a filter does to all colours alike."""
    # The colours of the fainter one are those of the stronger one, times `scale`, plus a step for each part.
    strong, faint = sorted((_planes(first), _planes(second)), key=lambda planes: -float(np.vdot(planes, planes)))
    scale = min(1.0, max(_MIN_FACTOR, float(np.vdot(strong, faint)) / float(np.vdot(strong, strong))))
    steps = faint - scale * strong
    # Without what all steps have in common, up to the largest shift.
    shift = steps.mean(axis=0)
    steps -= shift * min(1.0, _MAX_SHIFT / max(1e-9, float(np.hypot(*shift))))
    return round(float(np.hypot(*steps.T).mean()), 1)


@lru_cache(1_024)
def is_grey(colour: Signature) -> bool:
    """Whether a colour is that of a grey or tinted copy, which says nothing of the colours of the original."""
    parts = _planes(colour)
    mean = parts.mean(axis=0)
    return bool(np.hypot(*(parts - mean).T).max() <= _MAX_TINT_SPREAD and np.hypot(*mean) <= _MAX_TINT)


def _planes(colour: Signature) -> NDArray[np.float64]:
    """Cb and Cr of each part, 0 for grey (16 x 2)."""
    return np.frombuffer(colour.octets, np.uint8).reshape(-1, 2).astype(np.float64) - _NEUTRAL


def _as_uint64(signals: Sequence[Signal]) -> NDArray[np.uint64]:
    """The values of signals of one algorithm (signals x 64-bit parts)."""
    return np.frombuffer(b"".join([signal.to_bytes() for signal in signals]), np.uint64).reshape(len(signals), -1)
