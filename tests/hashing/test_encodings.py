"""Text is distinguished from other files and decoded. Frequent words of a language show an older encoding."""

from __future__ import annotations

import pytest

from hashdb.errors import UnreadablePicture
from hashdb.hashing.encodings import begins_as_text, decode

SAMPLES = {
    "cp1252": "Der Mörder und die Straße sind nicht mit der größten Mühe für den König über das Land gegangen.",
    "cp1250": "Nie jest to łatwe, ponieważ się może zdarzyć, że także które można więcej również być się nie jest.",
    "cp1251": "Это не то, что можно сказать из этого, но все это как если бы он не был на месте для всех.",
    "koi8-r": "Это не то, что можно сказать из этого, но все это как если бы он не был на месте для всех.",
    "cp1253": "Δεν είναι για την πόλη και το βουνό που με τα χρόνια θα γίνει από τους ανθρώπους της.",  # noqa: RUF001
    "cp1256": "هذا من على في الذي كان مع هذه التي لا أن عن إلى",
    "gb18030": "我们的人民是在这个国家里。不会有他们说的大地。",
    "big5": "我們的人民是在這個國家裡。不會有他們說的大地。",
    "shift_jis": "これはわたしたちのことばで。ほんとうにあることをいいます。",
    "euc-jp": "これはわたしたちのことばで。ほんとうにあることをいいます。",
    "euc-kr": "이것은 우리의 말이다. 그리고 사람들은 그것을 하지 않는다고 한다.",
}


@pytest.mark.parametrize("encoding", SAMPLES)
def test_an_older_encoding_is_recognised_by_frequent_words(encoding: str) -> None:
    octets = SAMPLES[encoding].encode(encoding)
    assert begins_as_text(octets)
    assert decode(octets) == SAMPLES[encoding]


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "shift_jis", "euc-jp", "euc-kr"])
def test_a_long_text_without_white_space_is_recognised(encoding: str) -> None:
    """The sample of the text that is looked at ends within a character of two bytes."""
    text = "a" + "".join(filter(str.isalpha, SAMPLES[encoding])) * 3_000
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("text", ["naïve café", "Ж", "žluťoučký kůň"])
def test_text_in_an_unknown_encoding_is_rejected(text: str) -> None:
    with pytest.raises(UnreadablePicture, match="the encoding of the text is unknown: save it as UTF-8"):
        decode(text.encode("cp1251" if text == "Ж" else "cp1250", "replace") + b"\xff\xfe")


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-8"])
def test_unicode_is_recognised_with_and_without_a_byte_order_mark(mark: str) -> None:
    text = "A text with some wörds, and 日本 in it. " * 20
    assert begins_as_text(text.encode(mark))
    assert decode(text.encode(mark)) == text


def test_a_stated_encoding_is_used_if_the_bytes_do_not_show_one() -> None:
    assert decode("žluťoučký".encode("cp1250"), "Windows-1250") == "žluťoučký"
    assert decode("žluťoučký".encode(), "latin1") == "žluťoučký"
    with pytest.raises(UnreadablePicture):
        decode("žluťoučký".encode("cp1250"), "utf-7")


def test_files_with_control_bytes_are_not_text() -> None:
    assert not begins_as_text(b"\x7fELF\x01\x02" + bytes(100))
    assert not begins_as_text(b"text\0text and more of it")


def test_a_few_damaged_letters_are_replaced() -> None:
    assert decode(("wörds 日本 " * 40).encode() + b"\xe6\x97") == "wörds 日本 " * 40 + "\ufffd"
