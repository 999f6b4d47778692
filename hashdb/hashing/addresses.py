"""Addresses: the normal form, which all spellings of a web address share, and its signals.

The algorithm `url` is SHA-256 of the normal form of an address, in UTF-8. The normal form is made in these steps:

1. White space around the address is dropped. A defanged address (like `hxxp://example[.]org`) is made an address again.
   `hxxp://`, `h**p://` and `[h]ttp://` are `http://`; `[://]`, `[:]//` and `:[//]` are `://`.
   In the host `[.]`, `(.)`, `{.}`, `[dot]`, `(dot)` and `{dot}` are dots.
   If anything of this was found, `[.]` behind the host is a dot, too.
2. It is parsed as browsers do (the URL standard of WHATWG): the host is in lower case, as ASCII (IDNA), IPv4 and IPv6
   are in their shortest form, `.` and `..` in the path are resolved, and characters that are not allowed at their
   place are percent-encoded.
   Only `http` and `https` are accepted, and they count as one: the normal form begins with `https://`.
3. User and password, the ports 80 and 443 and dots at the end of the host are dropped.
4. The fragment is dropped, unless it begins with `!` or `/`: then the page is named in it (`#!/user`, `#/#room`).
5. In path, query and fragment, an escape of a letter, a digit or one of `-._~` is written as the character, other
   escapes in upper case, and `%` without two hexadecimal digits as `%25` (RFC 3986, 6.2.2).
6. The query is cut at each `&`. Empty parts are dropped. So are the parameters that tell how somebody came to the page:
   those of TRACKING, those that begin with `utm_`, and those of OF_HOSTS on their hosts and the hosts below. Names are
   compared without regard to case. The other parameters are sorted by name; those of one name stay in order. An empty
   query is dropped with its `?`.

Nothing else is changed: `www.`, a slash at the end, the case of a path and `+` may all make a difference at a server.
Both lists are a part of the algorithm.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final
from urllib.parse import unquote

from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import needing

MAX_LENGTH: Final = 8_192
"""The most characters of an address."""


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


TRACKING: Final = _names(
    "__hsfp __hssc __hstc __s __twitter_impression _branch_match_id _ga _gl _hsenc _hsmi _openstat dclid epik "
    "fb_action_ids fb_action_types fb_ref fb_source fbclid gad_campaignid gad_source gbraid gclid gclsrc "
    "hsctatracking igsh igshid irclickid li_fat_id mc_cid mc_eid mibextid mkt_tok ml_subscriber ml_subscriber_hash "
    "msclkid oly_anon_id oly_enc_id rb_clickid rdt_cid ref_src ref_url s_cid sccid srsltid tblci ttclid twclid "
    "vero_conv vero_id wbraid wickedid yclid ysclid"
)
"""Names of parameters, in lower case, that tell how somebody came to a page, on every host. So does every `utm_…`."""
_TRACKING_PREFIX: Final = "utm_"

_VIDEOS: Final = _names("si feature pp t start")
_POSTS: Final = _names("s t")
OF_HOSTS: Final = {
    "youtube.com": _VIDEOS,
    "youtu.be": _VIDEOS,
    "open.spotify.com": _names("si"),
    "twitter.com": _POSTS,
    "x.com": _POSTS,
    "tiktok.com": _names("_r _t is_from_webapp sender_device"),
    "t.me": _names("single"),
}
"""Further names by host, which are dropped on this host and the hosts below it.

They also tell how somebody came to the page, or where in a video to begin.
"""

NAMING: Final = _names(
    "aid article article_id cid code doc document f fbid fid file file_id forum id item item_id k key list mid n name "
    "news node p page page_id path permalink photo pid playlist post post_id q query s search sid slug story_fbid t "
    "thread tid title topic u uid url user username v vid video video_id viewkey w watch"
)
"""Names of parameters that often tell which page it is, on any host. They are not a part of the algorithm."""

# The groups: the scheme as it is written, its `s`, and `://` as it is written.
_SCHEME = re.compile(r"(h(?:tt|xx|\*\*)p|\[h\]ttp)(s?)(\[?:\]?\[?//\]?)", re.IGNORECASE)
_DOT = re.compile(r"\[(?:\.|dot)\]|\((?:\.|dot)\)|\{(?:\.|dot)\}", re.IGNORECASE)
_HOST_END = re.compile(r"[/?#\\]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PORTS = frozenset({"80", "443"})
_NO_ADDRESS = "is not a web address: write it as https://example.org/page"
_PAGE_IN_FRAGMENT = ("#!", "#/")
"""How a fragment begins that names the page."""


def begins_as_address(text: str) -> bool:
    """Whether `text` is meant as one address: it has its scheme, and no white space."""
    return _SCHEME.match(text.strip()) is not None and len(text.split()) == 1


def normalise(text: str) -> str:
    """The normal form of an address, in ASCII. A normal form is returned as it is.

    Raises ValueError with a sentence that never has the address in it.
    Raises ExtraMissing without the extra [addresses].

    >>> normalise("hxxp://Example[.]org:80/a/../b?utm_source=mail&v=1#top")
    'https://example.org/b?v=1'
    """
    host, path, query, fragment = _parts(text)
    return f"https://{host}{path}{query}{fragment}"


def url_signals(text: str, *, for_query: bool) -> tuple[Signal, ...]:
    """The signal of an address; for a query (`for_query`) also the signal of the address without its parameters.

    The second is left out if a parameter is one of NAMING: otherwise, if `/watch` is listed, each `/watch?v=…` would
    match. Raises ValueError and ExtraMissing, as `normalise`.
    """
    host, path, query, fragment = _parts(text)
    forms = [f"https://{host}{path}{query}{fragment}"]
    if for_query and query and NAMING.isdisjoint(map(_name, query[1:].split("&"))):
        forms.append(f"https://{host}{path}{fragment}")
    return tuple(Signal.from_bytes(Algorithm.URL, hashlib.sha256(form.encode()).digest()) for form in forms)


def _parts(text: str) -> tuple[str, str, str, str]:
    """The parts of the normal form: host with port, path, query with `?`, and fragment with `#`."""
    with needing("addresses", "an address"):
        from ada_url import URL

    text = text.strip()
    if not text:
        raise ValueError("is empty")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"has more than {MAX_LENGTH} characters")
    if not _is_unicode(text):
        raise ValueError("has characters that are not valid Unicode")
    refanged = _refang(text)
    try:
        parsed = URL(refanged)
    except ValueError:
        parsed = None
    if parsed is None or not parsed.hostname:
        raise ValueError(_NO_ADDRESS)
    host = _host(parsed.hostname)
    port = "" if not parsed.port or parsed.port in _PORTS else f":{parsed.port}"
    fragment = _normal_escapes(parsed.hash) if parsed.hash.startswith(_PAGE_IN_FRAGMENT) else ""
    return host + port, _normal_escapes(parsed.pathname), _query(parsed.search, host), fragment


def _is_unicode(text: str) -> bool:
    """Whether `text` can be encoded in UTF-8: it has no surrogates, by which Python keeps bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refang(text: str) -> str:
    """`text` as an address that a browser reads. Raises ValueError if its scheme is not that of a web address."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise ValueError(_NO_ADDRESS)
    after_scheme = text[scheme.end() :]
    host_end = _HOST_END.search(after_scheme)
    length = host_end.start() if host_end else len(after_scheme)
    host, replaced_dots = _DOT.subn(".", after_scheme[:length])
    after_host = after_scheme[length:]
    is_defanged = replaced_dots or scheme[1].lower() != "http" or scheme[3] != "://"
    if is_defanged:
        after_host = after_host.replace("[.]", ".")
    return f"http{scheme[2]}://{host}{after_host}"


def _host(name: str) -> str:
    """A host as the parser wrote it, without dots at its end. Raises ValueError if the rest is not a host."""
    from ada_url import URL

    if not name.endswith("."):
        return name
    try:
        return str(URL(f"https://{name.rstrip('.')}/").hostname)
    except ValueError:
        pass
    raise ValueError(_NO_ADDRESS)


def _normal_escapes(text: str) -> str:
    """`text` with one spelling for each percent-encoded character (step 5)."""
    return _ESCAPE.sub(_normal_escape, text) if "%" in text else text


def _normal_escape(escape: re.Match[str]) -> str:
    if escape[1] is None:
        return "%25"
    code = int(escape[1], 16)
    return chr(code) if code in _UNRESERVED else escape[0].upper()


def _query(search: str, host: str) -> str:
    """The normal form of the query of an address, with its `?`; empty if no parameter is left."""
    dropped = _dropped_names(host)
    parameters = []
    for part in _normal_escapes(search.removeprefix("?")).split("&"):
        name = _name(part)
        if part and not name.startswith(_TRACKING_PREFIX) and name not in TRACKING and name not in dropped:
            parameters.append(part)
    # By the names as they are written.
    parameters.sort(key=lambda part: part.partition("=")[0])
    return "?" + "&".join(parameters) if parameters else ""


def _name(part: str) -> str:
    """The name of a parameter `name=value`, as names are compared: unescaped, in lower case."""
    return unquote(part.partition("=")[0]).lower()


def _dropped_names(host: str) -> frozenset[str]:
    """The names of OF_HOSTS for a host, or for the nearest host above it that has some."""
    labels = host.split(".")
    for first in range(len(labels)):
        if names := OF_HOSTS.get(".".join(labels[first:])):
            return names
    return frozenset()
