"""Copies of texts as they come back: disguised, misspelt, rewritten; whole, alone, or inside another text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from html import escape
from itertools import islice
from quopri import encodestring
from random import Random
from typing import Final, TypeAlias

from hashdb.hashing.texts import IDEOGRAPH, LETTER, LETTER_MARK

_PIECE: Final = re.compile(
    rf"(?:[{IDEOGRAPH}]{{1,2}}|(?:[{LETTER}][{LETTER_MARK}]*){{1,4}}|[^\s{IDEOGRAPH}{LETTER}]+)\s*"
)
"""A word with the space after it; in scripts without spaces two ideographs, or four letters."""
_END: Final = re.compile("[.!?\u2026\u3002\uff01\uff1f\u0964\u061f\u06d4]\\W*$")
"""The last word of a sentence."""

Pieces: TypeAlias = Sequence[str]
"""The words of a text as they are written, each with the space after it: joined they are the text."""
Alter: TypeAlias = Callable[[Pieces, Random, Pieces], str]
"""Makes a copy of a passage; the last argument has other words in its script."""


class TextForm(StrEnum):
    """What is uploaded, in the order of the tables."""

    INSIDE = "300 words inside 3,000 others"
    WHOLE = "the whole text"
    ALONE = "an excerpt alone"


@dataclass(frozen=True, slots=True)
class TextCopy:
    """How a text is copied: how many words of it, or 0 for all, and what is done to them."""

    name: str
    form: TextForm
    alter: Alter
    words: int = 300
    expected: bool = True
    """Whether it is to be found: the others are measured to say what is missed."""


def pieces(text: str) -> list[str]:
    """The words of a text as they are written, each with the space after it."""
    return _PIECE.findall(text.lstrip())


def _as_it_is(words: Pieces, random: Random, others: Pieces) -> str:
    return "".join(words)


def _first_half(words: Pieces, random: Random, others: Pieces) -> str:
    return "".join(words[: len(words) // 2])


def _upper(words: Pieces, random: Random, others: Pieces) -> str:
    return "".join(words).upper()


def _full_width(words: Pieces, random: Random, others: Pieces) -> str:
    return "".join(words).translate({code: code + 0xFEE0 for code in range(0x21, 0x7F)})


def _wrapped(words: Pieces, random: Random, others: Pieces) -> str:
    """Lines of about 40 characters, with hyphens in long words."""
    lines, length = [""], 0
    for piece in words:
        word = piece.strip()
        if length + len(word) > 40:
            cut = len(word) // 2
            hyphenated = len(word) > 7 and word.isalpha() and not re.search(f"[{IDEOGRAPH}{LETTER}]", word)
            lines.append(f"{word[:cut]}-\n{word[cut:]}" if hyphenated else f"\n{word}")
            length = 0
        else:
            lines.append(word)
        # Ideographs have no space between them.
        lines.append(" " if piece[-1:].isspace() else "")
        length += len(piece)
    return "".join(lines)


def _invisible(words: Pieces, random: Random, others: Pieces) -> str:
    """A zero-width space, a soft hyphen or a joiner after a quarter of the characters."""
    text = "".join(words)
    return "".join(
        char + random.choice("\u200b\u00ad\u2060\u200d") if random.random() < 0.25 else char for char in text
    )


def _struck_through(words: Pieces, random: Random, others: Pieces) -> str:
    return "".join(char + "\u0336" if char.isalnum() else char for char in "".join(words))


_TWINS: Final = (("aceopxyABEHKMOPTX", "асеорхуАВЕНКМОРТХ"), ("oABEHIKMNOPTYXZ", "οΑΒΕΗΙΚΜΝΟΡΤΥΧΖ"))  # noqa: RUF001
_LOOKALIKES: Final = str.maketrans(
    {twin: letter for latin, twins in _TWINS for letter, twin in zip(latin, twins, strict=True)}
    | dict(zip(*_TWINS[0], strict=True))
)


def _lookalikes(words: Pieces, random: Random, others: Pieces) -> str:
    """Latin letters as Cyrillic ones that look alike, and Cyrillic and Greek ones as Latin."""
    return "".join(words).translate(_LOOKALIKES)


def _dotted(words: Pieces, random: Random, others: Pieces) -> str:
    """Dots, stars and hyphens within a third of the words."""

    def dot(word: str) -> str:
        middle = len(word.rstrip()) // 2
        return word[:middle] + random.choice(".*-_") + word[middle:] if middle else word

    return "".join(dot(word) if random.random() < 1 / 3 else word for word in words)


def _letter_spaced(words: Pieces, random: Random, others: Pieces) -> str:
    return "  ".join(" ".join(word.strip()) for word in words)


def _shuffled(words: Pieces, random: Random, others: Pieces) -> str:
    """The sentences in another order."""
    sentences: list[list[str]] = [[]]
    for word in words:
        sentences[-1].append(word)
        if _END.search(word):
            sentences.append([])
    random.shuffle(sentences)
    return " ".join("".join(sentence) for sentence in sentences)


def _changed(
    words: Pieces, random: Random, others: Pieces, *, share: float, change: Callable[[str, Random, Pieces], str]
) -> str:
    """A share of the words is changed, each by itself. Rows of dots and the like are no words."""
    others = list(filter(_is_word, others))
    return "".join(
        change(word, random, others) if _is_word(word) and random.random() < share else word for word in words
    )


def _is_word(piece: str) -> bool:
    return any(map(str.isalnum, piece))


def _replace(word: str, random: Random, others: Pieces) -> str:
    return random.choice(others)


def _leave_out(word: str, random: Random, others: Pieces) -> str:
    return ""


def _insert(word: str, random: Random, others: Pieces) -> str:
    return word + random.choice(others)


def _misspell(word: str, random: Random, others: Pieces) -> str:
    """A letter left out, doubled, swapped with the next, or replaced."""
    letters = len(word.rstrip())
    place = random.randrange(max(1, letters))
    head, letter, tail = word[:place], word[place : place + 1], word[place + 1 :]
    other = random.choice(others)[:1]
    swapped = head + tail[:1] + letter + tail[1:] if place + 1 < letters else head + other + tail
    left_out = head + tail if letters > 1 else other + tail
    return random.choice((left_out, head + letter + letter + tail, swapped, head + other + tail))


_MISREAD: Final = dict(zip("mloehiucns", ("rn", "1", "0", "c", "b", "l", "ii", "e", "ri", "5"), strict=True))
"""What each of these letters is read as."""


def _misread(words: Pieces, random: Random, others: Pieces) -> str:
    """As by optical character recognition: 2 % of the letters misread, 2 % of the spaces lost or line breaks."""

    def read(char: str) -> str:
        if char.isspace():
            return random.choice(("", "\n")) if random.random() < 0.02 else char
        if random.random() < 0.02:
            return _MISREAD.get(char) or random.choice(others)[:1]
        return char

    return "".join(map(read, "".join(words)))


def _entities(words: Pieces, random: Random, others: Pieces) -> str:
    return escape("".join(words)).encode("ascii", "xmlcharrefreplace").decode()


def _quoted_printable(words: Pieces, random: Random, others: Pieces) -> str:
    return encodestring("".join(words).encode("utf-8", "replace")).decode()


_ROMAN: Final = str.maketrans(
    dict(
        zip(
            "абвгдеёжзийклмнопрстуфхцчшщъыьэюяαβγδεζηθικλμνξοπρστυφχψω",
            "a b v g d e yo zh z i y k l m n o p r s t u f kh ts ch sh shch _ y _ e yu ya "
            "a v g d e z i th i k l m n x o p r s t y f ch ps o".replace("_", "'").split(),
            strict=True,
        )
    )
)


def _romanised(words: Pieces, random: Random, others: Pieces) -> str:
    """Cyrillic and Greek in Latin letters; texts in other scripts stay as they are."""
    return "".join(words).lower().translate(_ROMAN)


_CHANGES: Final[Sequence[tuple[str, Alter, bool]]] = (
    ("as it is", _as_it_is, True),
    ("upper case", _upper, True),
    ("fullwidth letters", _full_width, True),
    ("wrapped anew, with hyphens", _wrapped, True),
    ("invisible characters", _invisible, True),
    ("struck through by combining marks", _struck_through, True),
    ("letters that look alike", _lookalikes, True),
    ("punctuation within words", _dotted, True),
    ("letter-spaced", _letter_spaced, False),
    ("OCR: 2 % of the letters misread", _misread, True),
    ("10 % of the words replaced", partial(_changed, share=0.1, change=_replace), True),
    ("10 % of the words left out", partial(_changed, share=0.1, change=_leave_out), True),
    ("10 % of words inserted", partial(_changed, share=0.1, change=_insert), True),
    ("10 % of the words misspelt", partial(_changed, share=0.1, change=_misspell), True),
    ("20 % of the words replaced", partial(_changed, share=0.2, change=_replace), False),
    ("30 % of the words replaced", partial(_changed, share=0.3, change=_replace), False),
    ("sentences in another order", _shuffled, False),
    ("HTML entities left in", _entities, False),
    ("quoted-printable left in", _quoted_printable, False),
    ("Cyrillic and Greek in Latin letters", _romanised, False),
)
"""What is done to a passage, and whether it is to be found."""


def _copies() -> Iterator[TextCopy]:
    for name, alter, expected in _CHANGES:
        yield TextCopy(name, TextForm.INSIDE, alter, expected=expected)
    yield TextCopy("first half", TextForm.WHOLE, _first_half, words=0)
    for name, alter, expected in _CHANGES:
        yield TextCopy(name, TextForm.WHOLE, alter, words=0, expected=expected)
    replace = partial(_changed, share=0.1, change=_replace)
    for words, expected in ((200, True), (150, True), (100, False), (75, False), (50, False)):
        yield TextCopy(f"{words} words", TextForm.ALONE, _as_it_is, words, expected)
        yield TextCopy(f"{words} words, 10 % replaced", TextForm.ALONE, replace, words, expected)


COPIES: Final = tuple(_copies())


def take_words(words: Pieces, counts: Sequence[int], start: int, count: int) -> Pieces:
    """The pieces from `start` on that have `count` words, or all that are left; `counts` are the words of each."""
    total = 0
    for place, more in enumerate(islice(counts, start, None), start):
        total += more
        if total >= count:
            return words[start : place + 1]
    return words[start:]
