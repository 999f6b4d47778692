"""Hash texts: windows of words as SimHash of 256 bits. The windows are the frames of a text.

The algorithm (docs/texts.md has it to the bit, with test vectors):

1. `normalise` removes what readers do not see or a copy changes: case, width, accents, lookalike letters, invisible
   characters, punctuation, hyphens.
2. `split_words` numbers the words, from 0. In scripts without spaces, each letter is a word.
3. A shingle begins at each word: 2 words between spaces, 3 Chinese or Japanese characters, 5 letters of Thai, Lao,
   Burmese or Khmer.
4. Each shingle has 256 bits. Bit j of a window is 1 if more than half of its different shingles have bit j.

Charikar: Similarity estimation techniques from rounding algorithms, 2002. The constants are from decision 74.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.frames import STEP, Frame, Unit
from hashdb.domain.signals import Algorithm, Signal

WINDOW: Final = 150
"""Words in a window."""
LISTED_STEP: Final = int(STEP[Unit.WORDS])
"""Words from the start of one window of a listed text to the start of the next one: 50."""
QUERY_STEP: Final = 25
"""Words from the start of one window of a query to the start of the next one."""
MIN_SHINGLES: Final = 20
"""A window with fewer different shingles is not hashed: it is a phrase, or a repeated one."""

_BITS: Final = 256
_BLOCK: Final = 64
"""Windows that are summed at a time, so that a long text takes little memory."""
_SPACED_LENGTH, _IDEOGRAPH_LENGTH, _LETTER_LENGTH = 2, 3, 5
"""Words in a shingle that begins at a word between spaces, at an ideograph or kana, at a letter of Thai or like it."""
_U64: TypeAlias = NDArray[np.uint64]

_INVISIBLE: Final = re.compile(
    # Marks over and under letters, points of Hebrew and Arabic, tatweel, sound marks of kana.
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8"
    "\u06ea-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f"
    # What has no glyph: soft hyphen, joiners, directions, fillers, variation selectors, tags.
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]+"
)
_HYPHENATED: Final = re.compile("(?<=\\w)[-\u00ad\u2010][^\\S\n]*\\n\\s*(?=\\w)")
MAX_MARKS: Final = 30
"""How many combining marks in a row are read, as in Unicode's stream-safe format (UAX 15).

The time to order them grows with the square of their number.
"""
_SEPARATORS: Final = re.compile("[\u2013-\u2015\u0f0b\u0f0c\u1361]+")
"""Dashes between words, and the marks that separate words in Tibetan and Ethiopic."""
_VOWELS: Final = "\u0900-\u0963\u0966-\u0dff\u0e00-\u0fff\u1000-\u109f\u1780-\u17d3"
"""Blocks of scripts whose vowels are marks."""
_SILENT: Final = re.compile(f"[^\\w\\s{_VOWELS}]+|_+")
"""Punctuation and symbols."""
_LETTERSPACED: Final = re.compile(r"(?<!\S)\w(?: \w)+(?!\S)")
"""Letters with one space between them: a heading, or an evasion. Between words there is more space."""
IDEOGRAPH: Final = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""What is a word by itself in a character class: of Chinese and Japanese."""
LETTER: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
"""What is a word by itself, with its marks, in a character class: of Thai, Lao, Burmese and Khmer."""
LETTER_MARK: Final = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u102b-\u103e\u1056-\u1059\u17b6-\u17d3"
)
"""The marks that follow such a letter."""
_WORD: Final = re.compile(f"[{IDEOGRAPH}]|[{LETTER}][{LETTER_MARK}]*|[^\\s{IDEOGRAPH}{LETTER}]+")
LOOKALIKES: Final = {
    "a": "\u0251\u03b1\u0430",
    "b": "\u0432\u044c\u03b2",
    "c": "\u0441\u1d04\u03f2",
    "d": "\u0501",
    "e": "\u0435\u03b5",
    "g": "\u0261\u0581",
    "h": "\u043d\u04bb\u0570",
    "j": "\u0458\u03f3",
    "k": "\u043a\u03ba",
    "l": "1i\u0131\u0456\u03b9\u04cf\u0269\u0661\u06f1\u0967",
    "m": "\u043c\u03bc",
    "n": "\u0578",
    "o": "0\u043e\u03bf\u0585\u0660\u06f0\u0966",
    "p": "\u0440\u03c1",
    "q": "\u051b",
    "r": "\u0433",
    "s": "\u0455\ua731",
    "t": "\u0442\u03c4",
    "u": "\u03c5\u057d",
    "v": "\u03bd\u0475",
    "w": "\u051d\u0461",
    "x": "\u0445\u03c7",
    "y": "\u0443\u03b3\u04af",
    "z": "\u03b6\u1d22",
    "2": "\u0662\u06f2\u0968",
    "3": "\u0663\u06f3\u0969",
    "4": "\u0664\u06f4\u096a",
    "5": "\u0665\u06f5\u096b",
    "6": "\u0666\u06f6\u096c",
    "7": "\u0667\u06f7\u096d",
    "8": "\u0668\u06f8\u096e",
    "9": "\u0669\u06f9\u096f",
    "\u064a": "\u0649\u06cc\u06cd",
    "\u0643": "\u06a9",
    "\u0647": "\u0629\u06c1\u06c2\u06c3\u06d5",
}
"""A letter or digit, and those that look like it or that people write for it, in lower case.

They are from Unicode's confusables.txt. The package with that table is a dependency of the service only, and the whole
table would replace Arabic letters by Latin ones.
"""
_FOLDS: Final = str.maketrans({character: to for to, lookalikes in LOOKALIKES.items() for character in lookalikes})


def normalise(text: str) -> str:
    """The words of a text in lower case, without punctuation, invisible characters and accents, between white space."""
    if not text.isascii():
        text = _long_run().sub(lambda run: run[0][:MAX_MARKS], text)
    text = unicodedata.normalize("NFKD", text).casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    text = _HYPHENATED.sub("", text)
    if not text.isascii():
        text = _SEPARATORS.sub(" ", _INVISIBLE.sub("", text))
    text = _SILENT.sub("", text).translate(_FOLDS)
    return _LETTERSPACED.sub(lambda letters: letters[0].replace(" ", ""), text)


@cache
def _long_run() -> re.Pattern[str]:
    """More combining marks in a row than are read."""
    codes = range(0x300, 0x1F000)
    marks = "".join(chr(code) for code in codes if unicodedata.combining(unicodedata.normalize("NFKD", chr(code))[0]))
    return re.compile(f"[{marks}]{{{MAX_MARKS + 1},}}")


def split_words(text: str) -> list[str]:
    """The words of a text, normalised. The number of a word is its place in this list."""
    return _WORD.findall(normalise(text))


def hash_text(text: str, *, step: int = LISTED_STEP) -> tuple[Frame, ...]:
    """The windows of a text, one every `step` words; the last one ends with the text.

    A window with fewer than `MIN_SHINGLES` different shingles is left out, so a text of 20 words or fewer has none.
    """
    return hash_words(split_words(text), step=step)


def hash_words(words: Sequence[str], *, step: int = LISTED_STEP) -> tuple[Frame, ...]:
    """The windows of a text that is split into words already; see `hash_text`."""
    return windows_at(words, window_starts(len(words), step))


def windows_at(words: Sequence[str], starts: Sequence[int]) -> tuple[Frame, ...]:
    """The windows that begin at words with these numbers, which ascend; those without a hash are left out."""
    signals = hash_windows(words, starts)
    return tuple(
        Frame(float(start), (signal,), unit=Unit.WORDS, length=min(WINDOW, len(words) - start))
        for start, signal in zip(starts, signals, strict=True)
        if signal is not None
    )


def window_starts(count: int, step: int) -> list[int]:
    """The first word of each window of a text of `count` words."""
    last = max(0, count - WINDOW)
    starts = list(range(0, last + 1, step))
    return starts if starts[-1] == last else [*starts, last]


def simhash(words: Sequence[str]) -> Signal | None:
    """The hash of one window with all these words; None if it has fewer than `MIN_SHINGLES` different shingles."""
    (signal,) = _window_signals(shingles(words), [(0, len(words))])
    return signal


def hash_windows(words: Sequence[str], starts: Sequence[int]) -> list[Signal | None]:
    """The hash of the window that begins at the word with each of these numbers, which ascend, or None."""
    values = shingles(words)
    signals: list[Signal | None] = []
    for place in range(0, len(starts), _BLOCK):
        signals += _window_signals(values, [(start, start + WINDOW) for start in starts[place : place + _BLOCK]])
    return signals


def shingles(words: Sequence[str]) -> _U64:
    """A value of 64 bits for the shingle that begins at each word, up to the first that the end of the text cuts."""
    # Not cached beyond this call: a process must not keep the words of a text.
    different = set(words)
    hash_of = {
        word: int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
        for word in different
    }
    length_of = {word: shingle_length(word) for word in different}
    hashes = np.fromiter(map(hash_of.__getitem__, words), np.uint64, len(words))
    lengths = np.fromiter(map(length_of.__getitem__, words), np.int64, len(words))
    result = np.zeros(len(words), np.uint64)
    # For each length, the value of such a shingle at every word; it counts where the shingle has this length.
    for length in map(int, np.unique(lengths)):
        end = max(0, len(words) - length + 1)
        values = np.full(end, length, np.uint64)
        for position in range(length):
            values = _mix(values ^ hashes[position : position + end])
        result[:end] = np.where(lengths[:end] == length, values, result[:end])
    # All before the first shingle that is longer than the rest of the text.
    is_whole = np.arange(len(words)) + lengths <= len(words)
    complete: _U64 = result[is_whole.cumprod(dtype=np.bool_)]
    return complete


_SHINGLES: Final = ((re.compile(f"[{IDEOGRAPH}]"), _IDEOGRAPH_LENGTH), (re.compile(f"[{LETTER}]"), _LETTER_LENGTH))


def shingle_length(word: str) -> int:
    """Words in the shingle that begins with this one."""
    return next((length for pattern, length in _SHINGLES if pattern.match(word)), _SPACED_LENGTH)


def _mix(values: _U64) -> _U64:
    """The finaliser of SplitMix64, modulo 2**64."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


_INCREMENTS: Final = np.arange(1, 5, dtype=np.uint64) * np.uint64(0xD1342543DE82EF95)
"""What is added to a shingle's value to derive each of the four words of its 256 bits."""


def _window_signals(values: _U64, windows: Sequence[tuple[int, int]]) -> list[Signal | None]:
    """The hashes of windows; None for one with too few shingles.

    Each window is the range of its shingles in `values`: the first one, and the one after the last. They ascend.
    """
    first = windows[0][0]
    values = values[first : windows[-1][1]]
    octets = _mix(values[:, None] + _INCREMENTS).astype("<u8").view(np.uint8)
    bits = np.unpackbits(octets, axis=1)
    previous = _previous_positions(values)
    signals: list[Signal | None] = []
    for start, end in windows:
        # A shingle counts once in a window, where it is first: tables and templates repeat theirs.
        is_first = previous[start - first : end - first] < start - first
        window = bits[start - first : end - first][is_first]
        if len(window) < MIN_SHINGLES:
            signals.append(None)
            continue
        majority = np.packbits(2 * window.sum(axis=0, dtype=np.int32) > len(window))
        signals.append(Signal.from_bytes(Algorithm.SIMHASH256, majority.tobytes()))
    return signals


def _previous_positions(values: _U64) -> NDArray[np.int64]:
    """For each value, the last position before its own with the same value; -1 if there is none.

    >>> _previous_positions(np.array([5, 7, 5, 5], np.uint64))
    array([-1, -1,  0,  2])
    """
    order = np.argsort(values, kind="stable")
    previous = np.full(len(values), -1, np.int64)
    is_same = values[order[1:]] == values[order[:-1]]
    previous[order[1:][is_same]] = order[:-1][is_same]
    return previous
