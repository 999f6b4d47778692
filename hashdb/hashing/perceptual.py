"""The perceptual hashes of the imagehash library, as signals.

Its own objects stay in here: `ImageHash != None` is False, their `hash()` collides and their distances are NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import imagehash
import numpy as np
from PIL import Image

from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing.pictures import Picture

_HASHES: dict[Algorithm, Callable[[Image.Image], imagehash.ImageHash]] = {
    Algorithm.PHASH: imagehash.phash,
    Algorithm.PHASH256: partial(imagehash.phash, hash_size=16),
    Algorithm.DHASH: imagehash.dhash,
    Algorithm.AHASH: imagehash.average_hash,
    Algorithm.WHASH: partial(imagehash.whash, mode="haar"),
}


def perceptual(picture: Picture, algorithm: Algorithm) -> Signal:
    """The signal of any algorithm but PDQ: what imagehash makes of the picture, bit for bit.

    imagehash turns every picture to 8-bit grey first, which leaves a grey one as it is, so one conversion serves all;
    and so it is with phash256's 64 x 64 pixels and phash's 32 x 32.
    """
    start = picture.grey
    if algorithm is Algorithm.PHASH256:
        start = picture.small
    elif algorithm is Algorithm.PHASH:
        start = picture.tiny
    bits = np.packbits(_HASHES[algorithm](start).hash)
    return Signal.from_bytes(algorithm, bits.tobytes())
