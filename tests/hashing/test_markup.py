"""The visible text of HTML is read."""

from __future__ import annotations

import pytest

from hashdb.errors import UnreadablePicture
from hashdb.hashing.markup import is_html, read_html


def words_in(html: str) -> list[str]:
    return read_html(html.encode()).texts[0].split()


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>one <b>two</b>three<p>four", "one twothree four"),
        ("<ul><li>one<li>two</ul>three<br>four<br/>five", "one two three four five"),
        ("<table><tr><td>one<td>two<tr><td>three</table>", "one two three"),
        ("<head><title>no</title></head><body>yes<script>no</script><style>no</style><noscript>no</noscript>", "yes"),
        (
            "<p hidden>no<p>yes<div aria-hidden=true>no</div><nav>no</nav><i style='color:red; display : none'>no</i>",
            "yes",
        ),
        ("<p>yes<template>no</template><svg><text>no</text></svg><ruby>kan<rt>no</rt></ruby>", "yeskan"),
        ("<p>a&nbsp;b &lt;c&gt; &#8212; &unknown; <!-- no --> d", "a b <c> — &unknown; d"),
        ("<?xml version='1.0'?><html><head><title/><script src='a'/></head><body><a id='x'/><p>yes</p></body>", "yes"),
        ("<h1>one</h1>two<blockquote>three</blockquote>four", "one two three four"),
    ],
)
def test_visible_text_is_read_in_order(html: str, expected: str) -> None:
    assert words_in(html) == expected.split()


def test_pictures_in_html_are_counted() -> None:
    assert read_html(b"<p><img src=a><img src=b>").pictures == 2


def test_the_stated_encoding_is_used() -> None:
    html = '<html><meta http-equiv="Content-Type" content="text/html; charset=windows-1250"><p>žluťoučký'
    assert read_html(html.encode("cp1250")).texts[0].strip() == "žluťoučký"


@pytest.mark.parametrize("start", ["<!DOCTYPE html>", "\n <html lang=a>", "<!-- a -->", "<P>", "<meta charset=utf-8>"])
def test_html_is_recognised_by_its_start(start: str) -> None:
    assert is_html(start.encode())
    assert is_html(start.encode("utf-16"))


@pytest.mark.parametrize("start", ["text <html>", "<person> is a name", "a < b", ""])
def test_plain_text_is_not_html(start: str) -> None:
    assert not is_html(start.encode())


def test_nested_elements_are_limited_and_unclosed_paragraphs_do_not_count() -> None:
    with pytest.raises(UnreadablePicture, match="elements nested more than 2000 deep"):
        read_html(b"<div>" * 2_001)
    assert words_in("<p>a" * 5_000) == ["a"] * 5_000
    assert words_in("<i>" * 2_000 + "a") == ["a"]


def test_an_inline_picture_does_not_interrupt_the_text() -> None:
    assert words_in(f"<p>a<img src='data:image/png;base64,{'A' * 100_000}'>b") == ["ab"]
