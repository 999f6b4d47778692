"""The normal form of web addresses, and their signals."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hashdb.domain.signals import Algorithm
from hashdb.hashing.addresses import MAX_LENGTH, NAMING, OF_HOSTS, TRACKING, normalise, url_signals

VECTORS = {
    "https://example.org": "https://example.org/",
    "HTTP://EXAMPLE.ORG:80/A": "https://example.org/A",
    "https://example.org:443/": "https://example.org/",
    "https://example.org:8443/": "https://example.org:8443/",
    "https://example.org./": "https://example.org/",
    "https://user:secret@example.org/": "https://example.org/",
    "https://example.org/a/./b/../c": "https://example.org/a/c",
    "https://example.org\\a": "https://example.org/a",
    "  https://example.org/a\n": "https://example.org/a",
    "https://exa\tmple.org/": "https://example.org/",
    # Hosts.
    "https://bücher.example/": "https://xn--bcher-kva.example/",
    "https://BÜCHER.example/": "https://xn--bcher-kva.example/",
    "https://موقع.example/صفحة": "https://xn--4gbrim.example/%D8%B5%D9%81%D8%AD%D8%A9",
    "https://0x7f.1/": "https://127.0.0.1/",
    "https://[2001:DB8:0:0::1]/": "https://[2001:db8::1]/",
    # Escapes.
    "https://example.org/%7euser/%61": "https://example.org/~user/a",
    "https://example.org/%d8%b5": "https://example.org/%D8%B5",
    "https://example.org/ص": "https://example.org/%D8%B5",
    "https://example.org/a%2fb": "https://example.org/a%2Fb",
    "https://example.org/100%": "https://example.org/100%25",
    "https://example.org/%%34%31": "https://example.org/%2541",
    "https://example.org/%2e%2e/a": "https://example.org/a",
    "https://example.org/a b": "https://example.org/a%20b",
    # Fragments.
    "https://example.org/a#part": "https://example.org/a",
    "https://example.org/#!/user": "https://example.org/#!/user",
    "https://matrix.example/#/#room:server": "https://matrix.example/#/#room:server",
    # Queries.
    "https://example.org/a?": "https://example.org/a",
    "https://example.org/a?b=2&a=1": "https://example.org/a?a=1&b=2",
    "https://example.org/a?b=2&&a=1&b=1": "https://example.org/a?a=1&b=2&b=1",
    "https://example.org/a?utm_source=x&UTM_Term=y&fbclid=z&v=1": "https://example.org/a?v=1",
    "https://example.org/a?%75tm_source=x": "https://example.org/a",
    "https://example.org/a?v": "https://example.org/a?v",
    "https://example.org/a?v=": "https://example.org/a?v=",
    "https://example.org/a?v=a+b": "https://example.org/a?v=a+b",
    "https://youtu.be/abc?si=x&t=42": "https://youtu.be/abc",
    "https://www.youtube.com/watch?t=42&v=abc&si=x": "https://www.youtube.com/watch?v=abc",
    "https://notyoutube.com/watch?si=x": "https://notyoutube.com/watch?si=x",
    "https://x.com/a/status/1?s=20&t=x": "https://x.com/a/status/1",
    # Defanged.
    "hxxp://example[.]org/a": "https://example.org/a",
    "hXXps[://]example[.]org/a[.]html": "https://example.org/a.html",
    "hxxps[:]//example(dot)org/a": "https://example.org/a",
    "h**ps://example{.}org/": "https://example.org/",
    "[h]ttps://example.org/": "https://example.org/",
    "https://example.org/a[.]b(.)": "https://example.org/a[.]b(.)",
}
ERRORS = {
    "is empty",
    "is not a web address: write it as https://example.org/page",
    "has characters that are not valid Unicode",
    f"has more than {MAX_LENGTH} characters",
}


@pytest.mark.parametrize(("text", "normal"), VECTORS.items())
def test_an_address_has_one_normal_form(text: str, normal: str) -> None:
    assert normalise(text) == normal


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "example.org/a",
        "ftp://example.org/",
        "javascript:alert(1)",
        "data:text/plain,a",
        "https://",
        "https://?a",
        "https://./",
        "https://exa mple.org/",
        "https://[::1/",
        "https://example.org:99999/",
        "https://1.2.3.400/",
        "https://example.org/\ud800",
        "https://example.org/" + "a" * MAX_LENGTH,
    ],
)
def test_an_invalid_address_is_rejected_with_an_error_without_the_text(text: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        normalise(text)
    assert type(error.value) is ValueError
    assert str(error.value) in ERRORS


def test_the_signal_is_the_digest_of_the_normal_form() -> None:
    (signal,) = url_signals("HTTP://Example.org/b?utm_source=mail&v=1#top", for_query=False)

    assert signal.algorithm is Algorithm.URL
    assert signal.to_bytes() == hashlib.sha256(b"https://example.org/b?v=1").digest()
    assert str(signal) == "url:49b440464c8b139ce96795704db9c0cc7be969e13e4a8dac1fa76c22e78818a8"


def test_a_lookup_also_asks_for_the_address_without_its_query_string() -> None:
    with_query, without = url_signals("https://example.org/b?newsletter=1", for_query=True)

    assert (with_query,) == url_signals("https://example.org/b?newsletter=1", for_query=False)
    assert (without,) == url_signals("https://example.org/b", for_query=False)
    assert len(url_signals("https://example.org/b?fbclid=1", for_query=True)) == 1


@pytest.mark.parametrize(
    ("queried", "without_query"),
    [
        ("https://www.youtube.com/watch?v=abc&newsletter=1", "https://www.youtube.com/watch"),
        ("https://forum.example/viewtopic.php?F=2&T=17", "https://forum.example/viewtopic.php"),
        ("https://blog.example/?p=123", "https://blog.example/"),
        ("https://example.org/list?new=1&%69d=7#/a", "https://example.org/list#/a"),
    ],
)
def test_a_page_named_by_its_query_string_does_not_match_the_bare_path(queried: str, without_query: str) -> None:
    (listed,) = url_signals(without_query, for_query=False)
    assert url_signals(queried, for_query=True) == url_signals(queried, for_query=False)
    assert listed not in url_signals(queried, for_query=True)


def test_the_lists_of_parameters_and_hosts_are_in_normal_form() -> None:
    names = TRACKING.union(NAMING, *OF_HOSTS.values())
    assert all(name == name.lower() and name for name in names)
    assert NAMING.isdisjoint(TRACKING)
    assert all(normalise(f"https://{host}/") == f"https://{host}/" for host in OF_HOSTS)


_HOSTS = st.sampled_from(
    ["example.org", "EXAMPLE.org.", "bücher.example", "1..", "127.1", "[::1]", "youtu.be", "a[.]b"]
)
_ENDINGS = st.text(st.sampled_from("aZ09%2eE5[].(){}/\\?&=#!+~ ü\t|'\"<>^`:@;,*") | st.characters(), max_size=40)
_TEXTS = st.one_of(
    st.text(),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["http://", "HTTPS://", "hxxp://", "[h]ttps[://]", "https:[//]u:p@", "ftp://", "https:"]),
        _HOSTS,
        st.sampled_from(["", "/", ":80", ":8080/", "?", "#/", "/%2e%2e/"]),
        _ENDINGS,
    ),
)


@given(_TEXTS)
@example("https://1../")
@example("https://example.org/%%34%31")
@example("hxxp://example.org/[%2e]")
def test_normalising_twice_changes_nothing_and_errors_do_not_quote_the_address(text: str) -> None:
    normal, error = _try_normalise(text)
    if error is not None:
        assert type(error) is ValueError
        assert str(error) in ERRORS
        return
    assert normalise(normal) == normal
    assert normal.isascii()
    assert normal.startswith("https://")
    assert len(url_signals(text, for_query=False)) == 1


def _try_normalise(text: str) -> tuple[str, ValueError | None]:
    try:
        return normalise(text), None
    except ValueError as error:
        return "", error
