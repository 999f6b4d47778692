"""Windows of words: normalisation, splitting into words, and hashes."""

# ruff: noqa: RUF001

import hashlib
import random
import unicodedata
from pathlib import Path

import pytest

from hashdb.domain.frames import Unit
from hashdb.domain.signals import Algorithm
from hashdb.hashing.texts import (
    LOOKALIKES,
    MAX_MARKS,
    MIN_SHINGLES,
    QUERY_STEP,
    WINDOW,
    hash_text,
    hash_words,
    shingles,
    simhash,
    split_words,
)

_RANDOM = random.Random(1)
WORDS = ["".join(_RANDOM.choices("abcdefghjkmnoprstuvwxyz", k=_RANDOM.randint(2, 9))) for _ in range(1_000)]


@pytest.mark.parametrize(
    "copy",
    [
        "FREE SOFTWARE AND ITS CO-OPERATION",
        "Ｆｒｅｅ ｓｏｆｔｗａｒｅ, and its cooperation",
        "Fr\u200bee soft\u00adware and its coop\u2060eration",
        "Free soft-\nware and\nits co-operation.",
        "Free\u3000software\u00a0and  its «cooperation»!",
        "F\u0337r\u0335e\u0336e̷ s\u0301oftware and its cooperation",
        "Frее sоftwаrе аnd іts сооpеrаtіоn",
        "Free s.o.f.t.w.a.r.e and its *coopera_tion*",
        unicodedata.normalize("NFD", "Fréè söftware and ïts coöperation"),
        "Free s0ftware and lts cooperat1on",
        "F r e e  s o f t w a r e  and its cooperation",
        "𝐅𝐫𝐞𝐞 𝓼𝓸𝓯𝓽𝔀𝓪𝓻𝓮 𝚊𝚗𝚍 𝘪𝘵𝘴 𝕔𝕠𝕠𝕡𝕖𝕣𝕒𝕥𝕚𝕠𝕟",
    ],
)
def test_disguised_words_are_normalised_to_the_same_words(copy: str) -> None:
    assert split_words(copy) == split_words("free software and its cooperation")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("... -- !", 0),
        ("two words", 2),
        ("中文的字。一字一詞", 8),
        ("ภาษาไทย", 7),
        ("क्या हिन्दी", 2),
        ("الْكِتَابُ كتاب", 2),
        ("한국어 문장", 2),
        ("Linux は自由 です", 6),
        ("\ud800 lone", 1),
    ],
)
def test_scripts_without_spaces_are_split_into_letters(text: str, count: int) -> None:
    assert len(split_words(text)) == count


def test_only_the_first_of_very_many_combining_marks_are_read() -> None:
    # Sorting all marks would take an hour.
    assert split_words("s" + "\u0316\u0300" * 500_000 + "oft-\n\nware") == ["software"]
    (word,) = split_words("ก" + "ุ่" * 500_000)
    assert word == "ก" + "ุ" * (MAX_MARKS // 2) + "่" * (MAX_MARKS // 2)
    assert split_words("ก" + "\uff9f" * 500_000) == ["ก"]


def test_a_window_starts_at_every_step_and_the_last_ends_with_the_text() -> None:
    frames = hash_text(" ".join(WORDS[:270]))
    assert [(frame.at, frame.length) for frame in frames] == [(0, 150), (50, 150), (100, 150), (120, 150)]
    assert {frame.unit for frame in frames} == {Unit.WORDS}
    assert {signal.algorithm for frame in frames for signal in frame.signals} == {Algorithm.SIMHASH256}


def test_the_last_shingle_of_a_window_includes_the_word_after_it() -> None:
    _, inner, _ = hash_text(" ".join(WORDS[:250]))
    assert inner.signals == (simhash(WORDS[50 : 50 + WINDOW + 1]),)


def test_a_long_text_that_is_hashed_in_blocks_has_the_same_hashes() -> None:
    words = WORDS * 5
    frames = hash_words(words, step=QUERY_STEP)
    assert [frame.signals[0] for frame in frames] == [
        simhash(words[int(frame.at) : int(frame.at) + WINDOW + 1]) for frame in frames
    ]


def test_a_short_text_has_one_window_and_a_too_short_text_has_none() -> None:
    (frame,) = hash_text(" ".join(WORDS[: MIN_SHINGLES + 1]))
    assert (frame.at, frame.length) == (0, MIN_SHINGLES + 1)
    assert hash_text(" ".join(WORDS[:MIN_SHINGLES])) == ()
    assert hash_text("") == ()


def test_a_repeated_phrase_has_no_hash() -> None:
    assert hash_text("and so it goes " * 100) == ()


def test_the_length_of_a_shingle_depends_on_the_script() -> None:
    spaced, ideographs, letters = ("one two three four", "\u4e2d\u6587\u7684\u5b57", "\u0e01\u0e02\u0e03\u0e04\u0e05")
    assert [len(shingles(split_words(text))) for text in (spaced, ideographs, letters)] == [3, 2, 1]
    assert len(shingles(split_words(f"{letters} {spaced}"))) == 8


def test_windows_with_most_words_in_common_are_near_and_others_are_far() -> None:
    listed, other = simhash(WORDS[:WINDOW]), simhash(WORDS[500 : 500 + WINDOW])
    # The vocabulary has no frequent words, which is harder than any language.
    changed = simhash([word if place % 12 else "other" for place, word in enumerate(WORDS[6 : 6 + WINDOW])])
    assert listed is not None
    assert other is not None
    assert changed is not None
    assert listed.distance(changed) <= Algorithm.SIMHASH256.radius < listed.distance(other)


def splitmix64(value: int) -> int:
    """The finaliser of SplitMix64, in plain Python."""
    mask = 2**64 - 1
    value = (value + 0x9E3779B97F4A7C15) & mask
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & mask
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
    return value ^ (value >> 31)


def simhash_by_definition(words: list[str], length: int) -> int:
    """The hash of a window whose shingles all have one length, as docs/texts.md defines it."""
    values = []
    for place in range(len(words) - length + 1):
        value = length
        for word in words[place : place + length]:
            value = splitmix64(value ^ int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little"))
        values.append(value)
    distinct_values = list(dict.fromkeys(values))
    rows = [
        b"".join(splitmix64((value + lane * 0xD1342543DE82EF95) % 2**64).to_bytes(8, "little") for lane in range(1, 5))
        for value in distinct_values
    ]
    bits = 0
    for place in range(256):
        ones = sum(row[place // 8] >> (7 - place % 8) & 1 for row in rows)
        bits = bits << 1 | (2 * ones > len(rows))
    return bits


VECTORS = (
    (" ".join(f"w{n}" for n in range(200)), 2),
    ("".join(chr(0x4E00 + 7 * n) for n in range(150)), 3),
    ("".join(chr(0x0E01 + n * n % 46) for n in range(150)), 5),
)


@pytest.mark.parametrize(("text", "length"), VECTORS)
def test_the_documented_vectors_are_computed(text: str, length: int) -> None:
    page = (Path(__file__).parents[2] / "docs" / "texts.md").read_text("utf-8")
    words = split_words(text)
    for frame in hash_text(text):
        at = int(frame.at)
        (signal,) = frame.signals
        assert f"`{signal}`" in page
        assert signal.value == simhash_by_definition(words[at : at + WINDOW + length - 1], length)


def test_the_documented_examples_are_split_into_words() -> None:
    assert split_words("Well-\nknown: «FREE» softw\u0430re") == ["wellknown", "free", "software"]
    assert split_words("Ёлка и Ель") == ["eлka", "и", "eлb"]
    assert split_words("الْكِتَابُ ١٢") == ["الكتاب", "l2"]
    assert split_words("ガス中文") == ["カ", "ス", "中", "文"]
    assert hex(int(shingles(["one", "two", "three"])[0])) == "0xfb4f9519f58f4111"


def test_a_lookalike_is_folded_to_one_letter_that_is_not_folded_again() -> None:
    folded = "".join(LOOKALIKES.values())
    assert not set(LOOKALIKES) & set(folded)
    assert len(set(folded)) == len(folded)
