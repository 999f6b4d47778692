"""A text, a page and an address in the demonstration: listed, altered, and found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont

from hashdb.hashing.texts import split_words

LIGHTHOUSE = """\
The lamp at the point was lit for the first time on a November evening in 1861, and for the next forty years the same
family kept it. They left a book in which somebody wrote every day, even when there was nothing to say. Most of it is
about the weather. A keeper noted the wind at six in the morning, at noon and at ten at night, then how far one could
see, and how much oil was in the tank. When fog came in, he wrote down the minute at which the bell began to ring and
the minute at which it stopped, because the harbour office paid for the hours. Once, in the spring of 1874, the bell
rang for fifty-one hours without a pause, and the page says only that both arms were sore and that the dog would not
come inside. The children of the house learned to read from this book. Their own lines are easy to find: the letters are
large, and the subject is never the wind. They counted seals on the rocks, gave a name to each hen, and drew the boat
that brought flour and letters on the first Tuesday of the month. The boat had no name of its own, so they called it
Tuesday, and after some years the keeper did as well. In the third volume a new hand appears, neat and upright, which
belonged to a schoolteacher who had come for two weeks and stayed. She added a column for the birds. From her lists we
know that terns nested on the shingle below the stairs until the storm of 1883 moved the beach, and that a white owl sat
on the railing for most of one winter and watched the light go round. She also copied out recipes. One is for a bread
that keeps for a month, with rye, treacle and sea water, and readers who tried it report that it keeps far longer,
because nobody wants to eat it. When the lamp was changed to gas, the book grew shorter. There was no oil to measure any
more, and a machine rang the bell. The last entry of the family is about the stairs: one hundred and twelve, counted
again, the same as before.
"""
"""The text that is listed: about 420 words, which nobody needs to keep from anybody."""

GARDEN = """\
A vegetable garden needs less work than people fear, and at other times than they expect. Half an hour on most days does
more than a whole Saturday, since weeds that are a week old come out with two fingers, and weeds that are a month old
want a spade. Begin with the soil. Take a handful when it is moist and press it: if it falls apart at a touch, it is
sandy and wants compost; if it stays a ball that shines, it is clay and wants compost, too. Dig only where roots cannot
pass, and leave the worms the rest. Then choose what you like to eat rather than what looks well in a catalogue. Beans,
chard and courgettes forgive almost everything. Cauliflower forgives nothing. Sow in short rows, two weeks apart, or
everything is ripe on the day before you travel. Water in the morning, slowly, at the foot of the plant, until the soil
is dark a finger deep. A layer of straw halves this work in a dry summer and doubles the number of slugs in a wet one,
so look at the sky before you spread it. In autumn sow something that covers the ground, phacelia or rye, and let the
frost cut it down. Write on a piece of wood what grew where. You will not remember it in March, and potatoes should not
stand twice in the same place within four years.
"""
"""Another text, in which a part of the first one is hidden."""

LISTED_ADDRESS = "https://example.org/lamp?utm_source=mail&page=3"
UPLOADED_ADDRESS = "hxxp://Example[.]org:80/lamp?page=3#top"
_FIRST, _COUNT, _EVERY = 120, 260, 10
"""The first of the words that are copied, how many, and of how many one is changed."""
_SHARE = 0.75
"""How much of the altered words the answer must cover, and how much of it must be of them."""


class TextTrial(NamedTuple):
    """Something that shows a part of what is listed, and what was found."""

    what: str
    shows: str
    """The part of what is listed that it shows, in words."""
    expected: int
    """The contribution."""
    found: Mapping[str, Any] | None
    """The nearest match, in JSON as the API returns it, or None."""
    words: tuple[int, int] | None = None
    """The listed words that a text shows: the first one, and that after the last."""

    @property
    def held(self) -> bool:
        """Whether the contribution is found; of a text, with about the right words."""
        if self.found is None or self.found["contribution"] != self.expected:
            return False
        if self.words is None:
            return True
        segments = [segment["listed"] for segment in self.found.get("segments", ()) if segment.get("unit") == "words"]
        if not segments:
            return False
        first, end = min(first for first, _ in segments), max(end for _, end in segments)
        shared = min(end, self.words[1]) - max(first, self.words[0])
        return bool(shared >= _SHARE * max(self.words[1] - self.words[0], end - first))

    @property
    def description(self) -> str:
        """What was found, in words."""
        if self.found is None:
            return "no match"
        for segment in self.found.get("segments", ()):
            (start, _), (first, end) = segment["query"], segment["listed"]
            return f"words {first}-{end} of the listed text, at word {start} of this one"
        if pages := self.found.get("pages"):
            return f"page {pages[0]} of the listed document"
        return "the same address" if self.found.get("digest") == "url" else "the listed item"


Contribute = Callable[[Sequence[Path | str]], list[int]]
"""Runs `hashdb contribute` with further words, and returns the ids."""
MatchAll = Callable[..., list[Any]]
"""Runs `hashdb match` with further words, and returns the results."""


def try_texts(folder: Path, contribute: Contribute, match: MatchAll, echo: Callable[[str], object]) -> list[TextTrial]:
    """Contribute a text, a document and an address, and match altered copies of them.

    Documents and addresses are left out where their extras are not installed.
    """
    listed, upload = folder / "lighthouse.txt", folder / "upload.txt"
    listed.write_text(LIGHTHOUSE)
    upload.write_text(hide())
    (text,) = contribute([listed])
    echo(f"contributed   a text of {len(split_words(LIGHTHOUSE))} words by `hashdb contribute lighthouse.txt`")
    shows = f"{_COUNT} words of it, one in {_EVERY} changed, inside another text"
    trials = [TextTrial(upload.name, shows, text, _nearest(match(str(upload))), (_FIRST, _FIRST + _COUNT))]
    if find_spec("pypdfium2") is None:
        echo("No document is tried: the extra [documents] is not installed")
    else:
        trials.append(_try_page(folder, contribute, match, echo))
    if find_spec("ada_url") is None:
        echo("No address is tried: the extra [addresses] is not installed")
    else:
        trials.append(_try_address(folder, contribute, match, echo))
    return trials


def hide() -> str:
    """A part of the listed text, with some words changed, between the halves of another text."""
    copied = split_words(LIGHTHOUSE)[_FIRST : _FIRST + _COUNT]
    changed = [f"{word}s" if place % _EVERY == 0 else word for place, word in enumerate(copied)]
    others = split_words(GARDEN)
    half = len(others) // 2
    return " ".join((*others[:half], *changed, *others[half:]))


def _try_page(folder: Path, contribute: Contribute, match: MatchAll, echo: Callable[[str], object]) -> TextTrial:
    """Contribute a document of pictures of two pages, and match a small screenshot of the second page."""
    document, screenshot = folder / "garden.pdf", folder / "screenshot.jpg"
    pages = [_draw(GARDEN.upper()), _draw(f"{LIGHTHOUSE[1200:]} {GARDEN[:400]}", lamp=True)]
    pages[0].save(document, save_all=True, append_images=pages[1:])
    pages[1].resize((pages[1].width // 2, pages[1].height // 2)).save(screenshot, quality=60)
    (id,) = contribute([document])
    echo("contributed   a document of 2 pages by `hashdb contribute garden.pdf`")
    shows = "its page 2 as a picture of half the size"
    return TextTrial(screenshot.name, shows, id, _nearest(match(str(screenshot))))


def _try_address(folder: Path, contribute: Contribute, match: MatchAll, echo: Callable[[str], object]) -> TextTrial:
    """Contribute an address, and match another spelling of it."""
    listed, upload = folder / "listed-links.txt", folder / "links.txt"
    listed.write_text(LISTED_ADDRESS)
    upload.write_text(UPLOADED_ADDRESS)
    (id,) = contribute(["--urls", str(listed)])
    echo("contributed   an address by `hashdb contribute --urls listed-links.txt`")
    nearest = _nearest(match("--urls", str(upload)))
    return TextTrial(f"{upload.name}, line 1", "it, as hxxp, with a port and a fragment", id, nearest)


def _nearest(results: list[Any]) -> Any:
    """The nearest match of the only result, or None."""
    (result,) = results
    return result["matches"][0] if result["matches"] else None


def _draw(text: str, *, lamp: bool = False) -> Image.Image:
    """A page with a heading and a text, and perhaps with a drawing of a lighthouse."""
    page = Image.new("RGB", (850, 1100), "white")
    draw = ImageDraw.Draw(page)
    draw.multiline_text((70, 60), fill(text, 78), "black", ImageFont.load_default(18), spacing=8)
    if lamp:
        draw.rectangle((0, 640, 850, 1100), "#20304a")
        draw.polygon(((390, 1060), (420, 780), (480, 780), (510, 1060)), "#e8e4da")
        draw.rectangle((415, 740, 485, 780), "#f5d060")
        draw.polygon(((405, 740), (495, 740), (450, 700)), "#a02020")
        draw.polygon(((485, 745), (850, 660), (850, 800), (485, 775)), "#5c6b52")
    return page
