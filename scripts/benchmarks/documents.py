"""Documents for the benchmark: altered pictures of their pages, pages typeset as PDF, and distances of pages."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np
import pypdfium2
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from hashdb.domain.frames import Frame, Unit
from hashdb.domain.matching.pages import RADII, SPARSE_PAGE, SPARSE_RADIUS
from hashdb.domain.signals import Algorithm, Signal
from hashdb.evaluation.pairs import Pairs
from hashdb.evaluation.samples import singular_values
from hashdb.evaluation.texts import SHARED_WORDS, longest_run
from hashdb.hashing import Mode
from hashdb.hashing.documents import HashedDocument, hash_document
from hashdb.hashing.reading import DOCUMENT_LIMITS
from hashdb.hashing.texts import LISTED_STEP, QUERY_STEP, split_words
from hashdb.index.vectors import pack

ALGORITHMS: Final = (Algorithm.PDQ, Algorithm.PHASH256)
MOST_PAGES: Final = 100
"""The number of first pages of a document that are listed. Later pages surround the passages."""
NEAR_PLACE: Final = 0.1
"""The distance, as a share of a manual's length, within which a page of its translation can be the same page."""
LONGEST: Final = 1_400
"""The longest side of a screenshot in pixels."""
_LIMITS: Final = replace(DOCUMENT_LIMITS, max_pages=MOST_PAGES)
_FAR: Final = 999


@dataclass(frozen=True)
class Document:
    """A PDF with the hashes of its first pages."""

    name: str
    octets: bytes
    listed: HashedDocument
    seconds: float
    """Processor time to compute `listed`."""

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read and hash a file."""
        octets = path.read_bytes()
        listed, seconds = timed(octets, Mode.BALANCED, LISTED_STEP)
        return cls(path.stem, octets, listed, seconds)

    @property
    def family(self) -> str:
        """The manual of which this document is a translation: `manual` for `manual.de.pdf`."""
        return self.name.partition(".")[0]

    @property
    def pages(self) -> int:
        """The number of listed pages."""
        return min(len(self.texts), MOST_PAGES)

    @cached_property
    def texts(self) -> Sequence[str]:
        """The text of each page, without hyphens at the ends of lines."""
        texts = []
        with pypdfium2.PdfDocument(self.octets) as document:
            for page in document:
                text = page.get_textpage().get_text_bounded(errors="replace")
                for hyphen in "\x02\ufffe":
                    text = text.replace(f"{hyphen}\r\n", "").replace(hyphen, "")
                texts.append(" ".join(text.split()))
        return texts

    @cached_property
    def words(self) -> Sequence[Sequence[str]]:
        """The words of each page, as hashing splits them."""
        return [split_words(text) for text in self.texts]

    @cached_property
    def starts(self) -> Sequence[int]:
        """The number of the first word of each page, and of the word after the last page."""
        return [0, *accumulate(map(len, self.words))]

    @cached_property
    def frames(self) -> Mapping[int, Frame]:
        """The hashed pages that can match, by number."""
        return {int(frame.at): frame for frame in self.listed.frames if frame.unit is Unit.PAGES and frame.matches}


def timed(octets: bytes, mode: Mode, step: int) -> tuple[HashedDocument, float]:
    """The hashes of the first pages of a PDF, and the processor seconds to compute them."""
    started = time.process_time()
    hashed = hash_document(io.BytesIO(octets), ALGORITHMS, mode, _LIMITS, step=step)
    return hashed, time.process_time() - started


def as_query(octets: bytes) -> HashedDocument:
    """The hashes of a document or a text for a query."""
    return hash_document(io.BytesIO(octets), ALGORITHMS, Mode.TRANSFORMS, step=QUERY_STEP)


def is_same(document: Document, page: int, other: Document, number: int) -> bool:
    """Whether two pages (from 1) have the same content: a translation at about this place, or a common text."""
    if document.family == other.family and abs(page / len(document.texts) - number / len(other.texts)) < NEAR_PLACE:
        return True
    return longest_run(document.words[page - 1], other.words[number - 1]) >= SHARED_WORDS


def shares(words: Sequence[str], other: Document) -> bool:
    """Whether a text and the listed pages of a document have a passage in common, word by word."""
    other_words = [word for page in other.words[: other.pages] for word in page]
    return longest_run(words, other_words) >= SHARED_WORDS


# Pages as pictures.

Alter = Callable[[Image.Image, np.random.Generator], bytes]
"""A function that alters the picture of a page and returns it as a file."""


def render(document: Document, number: int) -> Image.Image:
    """The page with this number (from 1), `LONGEST` pixels long, as a viewer shows it."""
    with pypdfium2.PdfDocument(document.octets) as opened:
        page = opened[number - 1]
        scale = LONGEST / max(page.get_size())
        picture: Image.Image = page.render(scale=scale, rev_byteorder=True).to_pil().convert("RGB")
        return picture


def _encoded(picture: Image.Image, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **({"quality": 70} if kind == "JPEG" else {"compress_level": 1}))
    return file.getvalue()


def _small(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width * 3 // 7, picture.height * 3 // 7), Image.Resampling.LANCZOS)


def _cut(picture: Image.Image, kept: float) -> Image.Image:
    """A page that keeps only a share of each margin."""
    box = ImageOps.invert(picture.convert("L")).point(lambda grey: 255 * (grey > 55)).getbbox()
    left, top, right, bottom = box or (0, 0, *picture.size)
    left, top = round(left * (1 - kept)), round(top * (1 - kept))
    right, bottom = round(right + (picture.width - right) * kept), round(bottom + (picture.height - bottom) * kept)
    return picture.crop((left, top, right, bottom))


def _on_a_phone(picture: Image.Image) -> Image.Image:
    shown = picture.resize((1080, 1080 * picture.height // picture.width))
    screen = Image.new("RGB", (1080, 2340), (255, 255, 255))
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, 1080, 210), fill=(30, 60, 110))
    draw.rectangle((0, 2200, 1080, 2340), fill=(20, 20, 20))
    screen.paste(shown, (0, (2340 - shown.height) // 2))
    return screen


def _photograph(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """A picture rotated by up to 2°, in uneven, warm light, slightly out of focus."""
    turned = picture.rotate(random.uniform(-2, 2), Image.Resampling.BICUBIC, fillcolor=(255, 255, 255))
    values = np.asarray(turned, np.float32)
    height, width = values.shape[:2]
    down, across = np.mgrid[0:height, 0:width]
    angle = random.uniform(0, 2 * np.pi)
    light = 0.82 + 0.3 * ((across / width - 0.5) * np.cos(angle) + (down / height - 0.5) * np.sin(angle))
    lit = values * light[..., None] * np.array([1, 0.97, 0.88]) + random.normal(0, 4, (height, width, 1))
    return Image.fromarray(lit.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8))


ALTERATIONS: Final[Mapping[str, Alter]] = {
    "screenshot, PNG": lambda picture, random: _encoded(picture, "PNG"),
    "screenshot, JPEG of quality 70": lambda picture, random: _encoded(picture),
    "the same, 600 pixels high": lambda picture, random: _encoded(_small(picture)),
    "half of each margin cut": lambda picture, random: _encoded(_cut(picture, 0.5)),
    "margins cut": lambda picture, random: _encoded(_cut(picture, 0.05)),
    "dark": lambda picture, random: _encoded(ImageOps.invert(picture)),
    "dark, margins cut": lambda picture, random: _encoded(ImageOps.invert(_cut(picture, 0.05))),
    "on a telephone, with bars": lambda picture, random: _encoded(_on_a_phone(picture)),
    "photographed, turned by up to 2°": lambda picture, random: _encoded(_photograph(picture, random)),
}
PLAIN: Final = tuple(ALTERATIONS)[:2]
"""The alterations that must be found in 99 % of the cases."""


# Pages typeset again.


def typeset(lines: Sequence[str], size: int = 12, on_a_page: int = 45) -> bytes:
    """A PDF of these lines, `on_a_page` lines to a page, in a font of this size that is not embedded."""
    blocks = [lines[index : index + on_a_page] for index in range(0, len(lines), on_a_page)]
    kids = " ".join(f"{7 + 2 * index} 0 R" for index in range(len(blocks)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(blocks)}/Kids[{kids}]>>",
        "<</Type/Font/Subtype/Type0/BaseFont/Set/Encoding/Identity-H/DescendantFonts[4 0 R]/ToUnicode 6 0 R>>",
        "<</Type/Font/Subtype/CIDFontType2/BaseFont/Set/FontDescriptor 5 0 R/DW 600"
        "/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>>>",
        "<</Type/FontDescriptor/FontName/Set/Flags 32/FontBBox[0 -200 600 800]/ItalicAngle 0/Ascent 800/Descent -200"
        "/CapHeight 700/StemV 80>>",
        _stream(_to_unicode()),
    ]
    for index, block in enumerate(blocks):
        shown = "".join(f"<{line.encode('utf-16-be', 'replace').hex()}> Tj T*\n" for line in block)
        objects.append(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 420 900]/Resources<</Font<</F 3 0 R>>>>"
            f"/Contents {8 + 2 * index} 0 R>>"
        )
        objects.append(_stream(f"BT /F {size} Tf {size * 1.5:g} TL 40 850 Td\n{shown}ET"))
    file = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(file))
        file += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    table = "".join(f"{index:010} 00000 n \n" for index in offsets)
    file += (
        f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        f"trailer\n<</Size {len(objects) + 1}/Root 1 0 R>>\nstartxref\n{len(file)}\n%%EOF\n"
    ).encode("latin-1")
    return bytes(file)


def _stream(content: str) -> str:
    return f"<</Length {len(content)}>>\nstream\n{content}\nendstream"


def _to_unicode() -> str:
    """A ToUnicode map that maps each code to the character with that code point."""
    rows = [f"<{high:02X}00> <{high:02X}FF> <{high:02X}00>" for high in range(256)]
    blocks = (rows[place : place + 64] for place in range(0, 256, 64))
    ranges = "\n".join(f"{len(block)} beginbfrange\n" + "\n".join(block) + "\nendbfrange" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Set def /CMapType 2 def\n"
        f"1 begincodespacerange <0000> <FFFF> endcodespacerange\n{ranges}\nendcmap end end"
    )


# Pairs of pages.


def pairs(queried: Sequence[Sequence[Signal]], listed: Sequence[Sequence[Signal]], skip: NDArray[np.bool_]) -> Pairs:
    """The least distance of each queried page to each listed page, without the pairs of `skip`.

    All signals have one algorithm. The distance to a sparse listed hash is increased by as much as its radius is
    smaller.
    """
    algorithm = next(signal.algorithm for signals in listed for signal in signals)
    filled = np.array([place for place, signals in enumerate(listed) if signals])
    counts = np.array([len(listed[place]) for place in filled])
    values = pack([signal.value for place in filled for signal in listed[place]], algorithm.bits)
    columns, penalties = np.ascontiguousarray(values.T), np.zeros(len(values), np.uint16)
    if algorithm is Algorithm.PHASH256:
        penalties[singular_values(values) >= SPARSE_PAGE] = RADII[algorithm] - SPARSE_RADIUS
    least = np.full((len(queried), len(listed)), _FAR, np.uint16)
    for row, signals in enumerate(queried):
        for query in pack([signal.value for signal in signals], algorithm.bits) if signals else ():
            apart = penalties.copy()
            for column, word in zip(columns, query, strict=True):
                apart += np.bitwise_count(column ^ word)
            nearest = np.minimum.reduceat(apart, np.cumsum(counts) - counts)
            least[row, filled] = np.minimum(least[row, filled], nearest)
    least[skip] = _FAR
    counts_by_distance = np.bincount(least.ravel(), minlength=_FAR + 1)[: algorithm.bits + 1].astype(np.int64)
    limit = max(
        algorithm.bits // 4,
        int(np.searchsorted(np.cumsum(counts_by_distance), 0.02 * counts_by_distance.sum(), side="right")),
    )
    queried_places, listed_places = np.nonzero(least <= limit)
    near = np.stack([queried_places, listed_places, least[queried_places, listed_places]], axis=1).astype(np.int64)
    return Pairs(len(queried), counts_by_distance, limit, near)


def nearest_pairs(all_pairs: Pairs, share: float) -> Iterator[tuple[int, int]]:
    """The nearest pairs, as (queried, listed): the given share of all pairs."""
    order = np.argsort(all_pairs.near[:, 2], kind="stable")[: int(share * all_pairs.total)]
    yield from ((int(queried), int(listed)) for queried, listed, _ in all_pairs.near[order])
