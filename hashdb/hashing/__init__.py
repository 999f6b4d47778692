"""Hash pictures: read a picture once, and compute its signals by every requested algorithm."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from hashdb.domain.seeds import Seed
from hashdb.domain.signals import (
    MINIMUM_QUALITY,
    SIGNALS_AN_ITEM,
    SIGNALS_OF_TRANSFORMS,
    Algorithm,
    Profile,
    Signal,
    usable_signals,
)
from hashdb.domain.signatures import WHOLE, Signature
from hashdb.errors import UnreadablePicture, os_reason
from hashdb.hashing.algorithms import imagehash_signal, is_installed
from hashdb.hashing.benign import built_in_benign, is_benign
from hashdb.hashing.cuts import cuts
from hashdb.hashing.pages import printed_signals
from hashdb.hashing.pdq import has_detail, pdq
from hashdb.hashing.pictures import Limits, Picture, out_of_memory, read_picture
from hashdb.hashing.secret_views import secret_transforms, secret_variants
from hashdb.hashing.signatures import signatures, signatures_by_view
from hashdb.hashing.transforms import MIRROR, ORIENTATION_NAMES, Transform, look_inside, mirrored, transforms
from hashdb.hashing.variants import frame_variants, variants

__all__ = [
    "Hashed",
    "Limits",
    "Mode",
    "hash_as",
    "hash_file",
    "hash_page",
    "hash_picture",
    "hash_transforms",
    "hash_variants",
    "open_regular",
    "read_file",
    "warm",
]

DEFAULT_LIMITS = Limits()
"""The usual limits of a picture: 20 MB, 50 megapixels."""


class Mode(StrEnum):
    """What is hashed beside the picture: nothing, the variants of the `Profile` with the same name, or transforms."""

    PLAIN = "plain"
    BALANCED = "balanced"
    THOROUGH = "thorough"
    TRANSFORMS = "transforms"


@dataclass(frozen=True, slots=True)
class Hashed:
    """A picture's signals, in the requested order, and its PDQ quality (0 to 100; None if PDQ was not requested)."""

    signals: tuple[Signal, ...]
    quality: int | None = None
    transforms: Mapping[str, tuple[Signal, ...]] = field(default_factory=dict, hash=False)
    """The signals of the transformed picture, if requested, by the name of the transform, like `mirror`."""
    signatures: Mapping[str, tuple[Signature, ...]] = field(default_factory=dict, hash=False)
    """The signatures of the picture, by the name `whole`, and of transforms, by their names."""


def hash_picture(octets: bytes, algorithms: Sequence[Algorithm], limits: Limits = DEFAULT_LIMITS) -> Hashed:
    """The signals of the picture in these bytes, by each of the algorithms. Raises UnreadablePicture."""
    return hash_as(octets, algorithms, limits, Mode.PLAIN)


def hash_variants(
    octets: bytes,
    algorithms: Sequence[Algorithm],
    profile: Profile,
    limits: Limits = DEFAULT_LIMITS,
    seeds: Sequence[Seed] = (),
) -> Hashed:
    """What a contribution of the picture stores: its own signals and those of its variants, at most 64, and signatures.

    The first variants are the secret views of the first seed, which is the newest. Variants are hashed by phash256
    only; there are none if it was not requested. The plain profile has neither variants nor signatures. Raises
    UnreadablePicture.
    """
    return hash_as(octets, algorithms, limits, Mode(profile), seeds)


def hash_transforms(
    octets: bytes, algorithms: Sequence[Algorithm], limits: Limits = DEFAULT_LIMITS, seeds: Sequence[Seed] = ()
) -> Hashed:
    """What a query with the picture sends: signals and signatures of the picture and of its transforms.

    The secret views of all seeds are among the transforms. Raises UnreadablePicture.
    """
    return hash_as(octets, algorithms, limits, Mode.TRANSFORMS, seeds)


def hash_as(
    octets: bytes, algorithms: Sequence[Algorithm], limits: Limits, mode: Mode, seeds: Sequence[Seed] = ()
) -> Hashed:
    """The result of `hash_picture`, `hash_variants` or `hash_transforms`, as `mode` says. Raises UnreadablePicture."""
    picture = read_picture(octets, limits)
    try:
        hashed = _hash(picture, algorithms)
        # In a picture without detail, the bits of other hashes would be rounding noise.
        if mode is Mode.PLAIN or not has_detail(picture):
            return hashed
        if mode is Mode.TRANSFORMS:
            return _with_transforms(hashed, picture, algorithms, seeds)
        return _as_contribution(hashed, picture, Profile(mode), seeds)
    except MemoryError:
        reason = out_of_memory("picture")
    # Raised outside of `except`: else the new error would keep the caught one, and with its traceback the arrays.
    raise UnreadablePicture(reason)


def hash_frame(picture: Picture, algorithms: Sequence[Algorithm], mode: Mode, shot: int) -> Hashed:
    """The hashes, as `mode` says, of a frame of a video.

    A contribution hashes the first frame of each shot so, and a query one frame a second. The frame has detail. `shot`
    is the number of the shot, from 0; variants depend on it. Rotated and flipped frames are hashed by PDQ only, whose
    search takes an eighth of the time.
    """
    hashed = _hash(picture, algorithms)
    if mode is Mode.TRANSFORMS:
        # One frame is not searched for panels: `with_insets` finds what is shown inside a video from several frames,
        # more surely.
        inside = look_inside(picture, is_video_frame=True)
        return replace(hashed, transforms=dict(_turned_by_pdq_only(transforms(picture, algorithms, inside))))
    return _with_variants(hashed, frame_variants(picture, Profile(mode), shot))


def _turned_by_pdq_only(transforms: Iterable[Transform]) -> Iterator[Transform]:
    """The transforms. Those that are turned or flipped, but not the mirror, keep their PDQ only."""
    for name, signals in transforms:
        is_turned = name in ORIENTATION_NAMES and name != MIRROR
        fewer = tuple(signal for signal in signals if not is_turned or signal.algorithm is Algorithm.PDQ)
        if fewer:
            yield name, fewer


def hash_further_frame(picture: Picture, algorithms: Sequence[Algorithm]) -> Hashed:
    """The hashes of a frame of a query between those of `hash_frame`: its own, and those of its mirror image.

    Its own may be unusable; those of the mirror image are only usable ones.
    """
    hashed = _hash(picture, algorithms)
    mirror = usable_signals(mirrored(picture, algorithms))
    return replace(hashed, transforms={MIRROR: mirror}) if mirror else hashed


def hash_page(picture: Picture, algorithms: Sequence[Algorithm], mode: Mode) -> Hashed:
    """The hashes of a page of a document: only those of 256 bits, and of them only usable ones.

    A usable one has enough detail to match reliably (`usable_signals`).

    A page of low quality has PDQ only. A page of a contribution also has the variants of a picture and the hashes of
    its printed area. A page of a query has no transforms: copies of a document have the same pages.
    """
    hashed = _hash(picture, [algorithm for algorithm in algorithms if algorithm.bits == 256])
    own = replace(hashed, signals=usable_signals(hashed.signals))
    if own.quality is not None and own.quality < MINIMUM_QUALITY:
        return replace(own, signals=tuple(signal for signal in own.signals if signal.algorithm is Algorithm.PDQ))
    if mode in (Mode.PLAIN, Mode.TRANSFORMS):
        return own
    return _with_variants(own, chain(printed_signals(picture), variants(picture, Profile(mode))))


def hash_file(
    path: str | Path,
    algorithms: Sequence[Algorithm],
    limits: Limits = DEFAULT_LIMITS,
    mode: Mode = Mode.PLAIN,
    seeds: Sequence[Seed] = (),
) -> Hashed:
    """The hashes of the picture in a regular file. Raises UnreadablePicture, also if the file cannot be read."""
    return hash_as(read_file(path, limits), algorithms, limits, mode, seeds)


def read_file(path: str | Path, limits: Limits) -> bytes:
    """The bytes of a regular file. Raises UnreadablePicture, also if it is too large or cannot be read."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            limits.check_bytes(size)
            return file.read(size)
    except OSError as error:
        reason = f"the file cannot be read: {os_reason(error)}"
    # Raised outside of `except`: else the new error would keep the caught one, which has the path.
    raise UnreadablePicture(reason)


def warm(algorithms: Sequence[Algorithm]) -> None:
    """Load what would be loaded on first use: the libraries of these algorithms that are installed, the benign list.

    A sandboxed process can load nothing later.
    """
    _hash(Picture(Image.new("RGB", (512, 512))), tuple(filter(is_installed, algorithms)))
    # NumPy loads these when they are used.
    for name in ("numpy.linalg", "numpy.ma"):
        import_module(name)
    built_in_benign()


def _as_contribution(hashed: Hashed, picture: Picture, profile: Profile, seeds: Sequence[Seed]) -> Hashed:
    """What `hash_variants` returns, from the hashes of the picture itself, which has detail."""
    newest_seed = seeds[:1]
    secret = (signal for seed in newest_seed for signal in secret_variants(picture, seed))
    with_variants = _with_variants(hashed, chain(secret, variants(picture, profile)))
    return replace(with_variants, signatures={WHOLE: signatures(picture)})


def _with_variants(hashed: Hashed, variants: Iterable[Signal]) -> Hashed:
    """The hashes of a picture with those of its variants, except benign ones; at most 64 signals.

    No variant is added if the picture was not hashed by phash256.
    """
    if Algorithm.PHASH256 not in (signal.algorithm for signal in hashed.signals):
        return hashed
    new = (signal for signal in variants if signal not in hashed.signals)
    added = [signal for signal in new if not is_benign(signal)]
    return replace(hashed, signals=(*hashed.signals, *added)[:SIGNALS_AN_ITEM])


def _with_transforms(
    hashed: Hashed, picture: Picture, algorithms: Sequence[Algorithm], seeds: Sequence[Seed]
) -> Hashed:
    """What `hash_transforms` returns, from the hashes of the picture itself, which has detail."""
    # Secret views and cuts are hashed by phash256 only. Cuts are parts of the picture that a contribution has stored if
    # the picture is a crop of the contributed one. Secret views have precedence within the limit of signals.
    has_phash256 = Algorithm.PHASH256 in algorithms
    secret = dict(secret_transforms(picture, seeds if has_phash256 else ()))
    most = SIGNALS_OF_TRANSFORMS - sum(map(len, secret.values()))
    of_cuts = cuts(picture) if has_phash256 else ()
    # The inside of frames around the picture, panels, and a tilted picture laid straight: some of the transforms.
    inside = look_inside(picture)
    of_transforms = dict(_limited(chain(transforms(picture, algorithms, inside), of_cuts), most))
    by_view = signatures_by_view(picture, inside, of_transforms)
    return replace(hashed, transforms=of_transforms | secret, signatures=by_view)


def _limited(transforms: Iterable[Transform], most: int) -> Iterator[Transform]:
    """The first transforms, with at most `most` signals in all; the other signals are left out."""
    for name, signals in transforms:
        if first := signals[: max(0, most)]:
            yield name, first
        most -= len(first)


def _hash(picture: Picture, algorithms: Sequence[Algorithm]) -> Hashed:
    """The signals of the picture itself, also unusable ones, and its PDQ quality."""
    signals: list[Signal] = []
    quality = None
    for algorithm in algorithms:
        if algorithm is Algorithm.PDQ:
            signal, quality = pdq(picture)
        else:
            signal = imagehash_signal(picture, algorithm)
        signals.append(signal)
    return Hashed(tuple(signals), quality)


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file. Raises OSError, and UnreadablePicture for what is no regular file."""
    # Without O_NONBLOCK, opening a named pipe would block until it has a writer.
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise UnreadablePicture("not a regular file")
