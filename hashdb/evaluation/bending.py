"""Bend a picture: change it as little as possible until its hashes are far from given values, or near them.

The bits of a hash are signs of linear functions of the luminance. A change is a sum of cosines over the whole picture,
so its effect on each coefficient of each view is a small matrix product. A demand (at least a number of
bits of a hash agree with given ones) makes the cheapest bits cross their threshold: a quadratic programme, whose choice
of bits is made again in each step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Signature
from hashdb.hashing.pdq import pdq_coefficients
from hashdb.hashing.pictures import Picture
from hashdb.hashing.reductions import Floats, sample
from hashdb.hashing.signatures import MIN_COEFFICIENT, SCALE
from hashdb.hashing.windows import WHOLE, Window, coefficients, crop, rotate, whole_coefficients

FREQUENCIES: Final = 40
"""Cosines downwards and across that make a change: a part of half the side hashes up to the 32nd."""
_SAMPLES, _SIDE = 64, 16  # places that a hash samples of a side, and frequencies that it keeps of them
_FAR = 24
"""Bits: a demand that is met by more is looked at again only after `_REFRESH` steps."""
_REFRESH = 12
_MARGIN = 0.02
"""By how many greys (root mean square over the picture) a coefficient crosses its threshold: files are rounded."""
_MOMENTUM = 0.85
_EQUAL: Final = 100.0
"""Decibels that pictures which hardly differ have: JSON has no infinite number."""


class View(NamedTuple):
    """A part of a picture, rotated before it is cut out, that an algorithm (pdq or phash256) hashes."""

    algorithm: Algorithm
    window: Window = WHOLE
    degrees: float = 0.0
    quarter: tuple[int, int] | None = None
    """The lowest frequencies (downwards, across) of a quarter of a detail, whose bits have a threshold of their own."""

    def coefficients(self, picture: Picture, grey: Floats) -> Floats:
        """The 256 coefficients as hashdb computes them; `grey` is the reduced picture."""
        if self.quarter is not None:
            down, across = (slice(first, first + _SIDE) for first in self.quarter)
            return (coefficients(grey, self.window, 2 * _SIDE) * SCALE - MIN_COEFFICIENT)[down, across].ravel()
        if self.algorithm is Algorithm.PDQ:
            sampled = picture.sampled if self.window == WHOLE else sample(crop(picture.colour, self.window))
            return pdq_coefficients(sampled).ravel()
        if self.degrees:
            return coefficients(*rotate(grey, self.degrees)).ravel()
        if self.window == WHOLE:
            return whole_coefficients(picture).ravel()
        return coefficients(grey, self.window).ravel()


def tilted_view(degrees: float, grey: Floats) -> View:
    """The view that hashdb hashes of a picture that it tilts by so many degrees; `grey` is the reduced picture."""
    return View(Algorithm.PHASH256, rotate(grey, degrees)[1], degrees)


class Demands(NamedTuple):
    """What a change has to achieve: the view of each demand by number, signs, and how many bits have them at least."""

    views: NDArray[np.intp]
    signs: Floats
    """For each demand and coefficient, 1 if the coefficient should be above the median, else -1."""
    counts: NDArray[np.intp]

    def select(self, places: NDArray[np.intp] | NDArray[np.bool_]) -> Demands:
        """Some of the demands."""
        return Demands(self.views[places], self.signs[places], self.counts[places])


def demands(rows: Sequence[tuple[int, Floats, int]]) -> Demands:
    """Demands from the number of the view, the signs and the least count of each."""
    views, signs, counts = zip(*rows, strict=True) if rows else ((), (), ())
    return Demands(
        np.array(views, np.intp), np.array(signs, np.float32).reshape(-1, _SIDE * _SIDE), np.array(counts, np.intp)
    )


QUARTERS: Final = tuple((down, across) for down in (0, _SIDE) for across in (0, _SIDE))
"""The quarters of a detail, each by its lowest frequencies, downwards and across."""


def signs_of_quarter(detail: Signature, quarter: tuple[int, int]) -> Floats:
    """The bits of a quarter of a detail as signs."""
    bits = np.unpackbits(np.frombuffer(detail.octets, np.uint8)).reshape(2 * _SIDE, 2 * _SIDE)
    down, across = quarter
    signs: Floats = bits[down : down + _SIDE, across : across + _SIDE].ravel().astype(np.float32) * 2 - 1
    return signs


def signs_of(signal: Signal) -> Floats:
    """The bits of a 256-bit signal as signs, in the order of the coefficients."""
    bits = np.unpackbits(np.frombuffer(signal.to_bytes(), np.uint8))
    signs: Floats = (bits[::-1] if signal.algorithm is Algorithm.PDQ else bits).astype(np.float32) * 2 - 1
    return signs


class Bender:
    """A picture that is bent: the change so far, within a budget that grows."""

    def __init__(self, image: Image.Image, views: Sequence[View]) -> None:
        self._pixels = np.asarray(image, np.float32)
        self._views = views
        aspect = image.height / image.width
        # A column: whether the threshold of the bits is the median, as in hashes; in details it is 0.
        self._is_hash = np.array([[view.quarter is None] for view in views])
        self._upright = np.array([not view.degrees for view in views])
        upright = [_separable(view) for view in views if not view.degrees]
        self._down = np.array([down for down, _ in upright], np.float32).reshape(-1, _SIDE, FREQUENCIES)
        self._across = np.array([across for _, across in upright], np.float32).reshape(-1, _SIDE, FREQUENCIES)
        tilted = [_dense(view.window, view.degrees, aspect) for view in views if view.degrees]
        self._tilted = np.concatenate(tilted) if tilted else np.zeros((0, FREQUENCIES**2), np.float32)
        # Every coefficient in greys: the least change (root mean square) that moves it by as much.
        self._norms = np.array(
            [_norm(down) * _norm(across) for down, across in upright] + [_norm(rows) for rows in tilted]
        )
        # The arrays above have the upright views first. This is where each view is in them.
        self._order = np.argsort(np.argsort(~self._upright, kind="stable"))
        self._norms = self._norms[self._order].astype(np.float32)[:, None]
        self.change = np.zeros((FREQUENCIES, FREQUENCIES), np.float32)  # the weight of each cosine, in greys
        self._offset = self._measure(image)  # the coefficients without the change

    def _measure(self, image: Image.Image) -> Floats:
        """The coefficients of a picture by all views, in greys."""
        picture = Picture(image)
        grey = picture.reduced
        measured = np.array([view.coefficients(picture, grey) for view in self._views], np.float32)
        return np.asarray(measured / self._norms, np.float32)

    def _moved(self, change: Floats) -> Floats:
        """How far a change moves each coefficient of each view, in greys."""
        upright = self._down @ change @ self._across.transpose(0, 2, 1)
        tilted = self._tilted @ change.ravel()
        moved = np.concatenate([upright.reshape(-1, _SIDE**2), tilted.reshape(-1, _SIDE**2)])[self._order]
        return np.asarray(moved / self._norms, np.float32)

    def _pulled(self, forces: Floats) -> Floats:
        """The change that these forces on the coefficients add up to: the transpose of `_moved`."""
        forces = forces / self._norms
        upright = forces[self._upright].reshape(-1, _SIDE, _SIDE)
        pulled = np.einsum("vfk,vfl->kl", self._down, upright @ self._across, optimize=True)
        pulled += (forces[~self._upright].ravel() @ self._tilted).reshape(pulled.shape)
        return np.asarray(pulled, np.float32)

    def bend(self, wanted: Demands, decibels: float, steps: int) -> Image.Image:
        """The picture with the best change that was found within this peak signal-to-noise ratio."""
        budget = 255 * 10 ** (-decibels / 20)
        change = self.change * 1.0
        velocity, best, least = np.zeros_like(change), change, math.inf
        near = wanted
        for step in range(steps):
            margins = self._margins(change)
            if step % _REFRESH == 0:
                met = (wanted.signs * margins[wanted.views] > 0).sum(axis=1)
                near = wanted.select(met < wanted.counts + _FAR)
            loss, forces = _forces(margins, near)
            if loss < least:
                best, least = change, loss
            if not loss:
                break
            pull = self._pulled(forces)
            velocity = _MOMENTUM * velocity + pull / np.linalg.norm(pull)
            rate = budget * 0.06 * (1 - 0.9 * step / steps)
            change = change + rate * velocity
            length = float(np.linalg.norm(change))
            if length > budget:
                change = change * np.float32(budget / length)
        self.change = best
        bent = self.picture()
        # Where pixels are clipped, the effect is less: the next budget starts from what was measured.
        self._offset = self._measure(bent) - self._moved(best)
        return bent

    def costs(self, wanted: Demands) -> Floats:
        """The cost of each demand: about the square of the change in greys that it needs alone."""
        return np.asarray(np.square(_missing(self._margins(self.change), wanted)).sum(axis=1), np.float32)

    def _margins(self, change: Floats) -> Floats:
        """How far each coefficient is above the threshold of its view, which mostly is the median."""
        moved = self._offset + self._moved(change)
        medians = np.median(moved, axis=1, keepdims=True)
        return np.asarray(moved - np.where(self._is_hash, medians, 0), np.float32)

    def picture(self) -> Image.Image:
        """The changed picture, rounded to 8 bits; all colours of a pixel are changed alike."""
        height, width = self._pixels.shape[:2]
        added = _cosines(_middles(height)) @ self.change @ _cosines(_middles(width)).T
        return Image.fromarray(np.rint(self._pixels + added[..., None]).clip(0, 255).astype(np.uint8))


def decibels_between(first: Image.Image, second: Image.Image) -> float:
    """The peak signal-to-noise ratio of two pictures of one size, over all colours; 100 at most, as of equal ones."""
    error = float(np.mean((np.asarray(first, np.float32) - np.asarray(second, np.float32)) ** 2))
    return min(_EQUAL, 10 * math.log10(255**2 / error)) if error else _EQUAL


def _forces(margins: Floats, wanted: Demands) -> tuple[float, Floats]:
    """The sum of the squares of what the demands are short of, and how each coefficient of each view should move."""
    forces = np.zeros_like(margins)
    missing = _missing(margins, wanted)
    np.add.at(forces, wanted.views, wanted.signs * missing)
    return float(np.square(missing).sum()), forces


def _missing(margins: Floats, wanted: Demands) -> Floats:
    """How far each coefficient of each demand must move.

    Of each demand, only the bits count that are cheapest to fulfil, as many as are demanded.
    """
    agreement = wanted.signs * margins[wanted.views]
    ranked = np.sort(agreement, axis=1)
    last = ranked[np.arange(len(ranked)), ranked.shape[1] - wanted.counts]
    return np.where(agreement >= last[:, None], np.maximum(_MARGIN - agreement, 0), np.float32(0))


def _cosines(places: NDArray[np.float64]) -> Floats:
    """The cosines (places x FREQUENCIES) at these fractions of a side; the mean of the square of each is 1."""
    values = np.cos(np.pi * places[:, None] * np.arange(FREQUENCIES)) * math.sqrt(2)
    values[:, 0] = 1
    return values.astype(np.float32)


def _middles(count: int) -> NDArray[np.float64]:
    return (np.arange(count) + 0.5) / count


def _transform(first: int) -> NDArray[np.float64]:
    """The cosine transform (16 x 64) from the lowest frequency on."""
    frequencies = np.arange(first, first + _SIDE)[:, None]
    return np.asarray(np.cos(np.pi * frequencies * _middles(_SAMPLES)))


def _norm(rows: Floats) -> float:
    """The root mean square of the rows' lengths."""
    return float(np.linalg.norm(rows)) / math.sqrt(len(rows))


@lru_cache(maxsize=4096)
def _separable(view: View) -> tuple[Floats, Floats]:
    """The effect of each cosine on the coefficients of an upright view: downwards, and across (16 x FREQUENCIES)."""
    left, top, right, bottom = view.window
    first = 1 if view.algorithm is Algorithm.PDQ else 0
    rows, columns = (_transform(lowest) for lowest in view.quarter or (first, first))
    down = rows @ _cosines(top + _middles(_SAMPLES) * (bottom - top))
    across = columns @ _cosines(left + _middles(_SAMPLES) * (right - left))
    if view.quarter is not None:
        # As in signatures, where the transform is orthonormal.
        down, across = (effect * math.sqrt(2 / _SAMPLES) for effect in (down, across))
    return down.astype(np.float32), across.astype(np.float32)


@lru_cache(maxsize=16)
def _dense(window: Window, degrees: float, aspect: float) -> Floats:
    """The effect of each product of cosines on the coefficients of a rotated view of phash256: 256 x FREQUENCIES²."""
    angle = math.radians(degrees)
    right = window.left + _middles(_SAMPLES)[None, :] * (window.right - window.left) - 0.5
    below = (window.top + _middles(_SAMPLES)[:, None] * (window.bottom - window.top) - 0.5) * aspect
    x = 0.5 + right * math.cos(angle) - below * math.sin(angle)
    y = 0.5 + (right * math.sin(angle) + below * math.cos(angle)) / aspect
    products = np.einsum("pk,pl->pkl", _cosines(y.ravel()), _cosines(x.ravel())).reshape(_SAMPLES, _SAMPLES, -1)
    transform = _transform(0).astype(np.float32)
    rows = np.einsum("fy,yxk->fxk", transform, products, optimize=True)
    return np.asarray(np.einsum("gx,fxk->fgk", transform, rows, optimize=True).reshape(_SIDE**2, -1), np.float32)
