"""Read the text of HTML as a reader sees it, by Lexbor (the extra `[documents]`). Nothing is run or loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from hashdb.errors import UnreadablePicture
from hashdb.hashing.encodings import decode
from hashdb.hashing.reading import NO_EXTRA, Content

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_HTML: Final = re.compile(
    r"\s*(?:<!--|<\?xml|<!doctype\s+html|<(?:html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|meta)[\s/>])",
    re.IGNORECASE,
)
"""The start of a file by which browsers recognise HTML (WHATWG, MIME Sniffing Standard, 7.1)."""
_STATED_ENCODING: Final = re.compile(
    rb"""<(?:meta[^>]{0,200}?charset|\?xml[^>]{0,100}?encoding)\s*=\s*["']?\s*([\w-]{2,20})""", re.I
)
"""How HTML and XML state their encoding: the group is its name."""
_HEAD: Final = 4_096
"""The first bytes of a file, in which both patterns are looked for."""
_SELF_CLOSED: Final = re.compile(r"<([A-Za-z][\w:.-]*+)([^<>]*)/>")
"""A tag like `<div/>`, an empty element in XHTML. HTML ignores the slash, so that all that follows would be in it."""


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


_VOID: Final = _names("area base br col embed hr img input link meta source track wbr")
"""Elements of HTML that have neither content nor an end tag."""
_UNSEEN: Final = _names(
    "head script style template noscript noframes iframe object applet canvas svg audio video map select datalist "
    "button textarea dialog nav rp rt"
)
"""Elements that are not read: what is not shown, what is no text, menus, and how Chinese letters are pronounced."""
_LINES: Final = _names(
    "address article aside blockquote body br caption center dd details div dl dt fieldset figcaption figure footer "
    "form h1 h2 h3 h4 h5 h6 header hr legend li main menu ol p pre section summary table tbody td tfoot th thead tr ul"
)
"""Elements that begin and end a line."""
_UNCLOSED: Final = _VOID | _names("p li dt dd tr td th option optgroup thead tbody tfoot rp rt")
"""Elements whose end tag may be missing: the next such element ends them."""
_TAG: Final = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]*)")
_LONG_TAG: Final = re.compile(r"<([A-Za-z][\w:.-]*+)[^<>]{5000,}>")
"""A tag with very long attributes, such as a picture in a `data:` URL, or with very many.

The reader's time grows with the square of the number of attributes.
"""
_DEEPEST: Final = 2_000
"""The most elements within one another that are read: the reader's time grows with the square of the depth."""
_HIDDEN: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_PICTURES: Final = frozenset(("img", "image"))


def load_html_reader() -> None:
    """Load the reader where it is installed, for a process that can open no file later."""
    with suppress(ImportError, OSError):
        _shown_text("<p>text</p>")


def is_html(octets: bytes) -> bool:
    """Whether a text begins as HTML."""
    head = octets[:_HEAD]
    return any(_HTML.match(head.decode(encoding, "ignore").lstrip("\ufeff")) for encoding in ("utf-8", "utf-16"))


def read_html(octets: bytes) -> Content:
    """The text of HTML or XHTML, in order. Raises UnreadablePicture."""
    text = decode(octets, _stated_encoding(octets))
    if _depth(text) > _DEEPEST:
        raise UnreadablePicture(f"the document has elements nested more than {_DEEPEST} deep")
    try:
        shown_text, pictures = _shown_text(_SELF_CLOSED.sub(_with_end_tag, _LONG_TAG.sub(r"<\1>", text)))
    except (ImportError, OSError):
        # Not installed. A sandboxed process, which can open no file, may raise OSError.
        raise UnreadablePicture(NO_EXTRA) from None
    return Content((shown_text,), pictures=pictures)


def _stated_encoding(octets: bytes) -> str | None:
    encoding = _STATED_ENCODING.search(octets, 0, _HEAD)
    return None if encoding is None else encoding[1].decode("ascii", "replace")


def _depth(text: str) -> int:
    """The most elements within one another, by the tags alone: an element without its end tag lasts to the end."""
    depth = deepest = 0
    for end, name in _TAG.findall(text):
        if name.lower() not in _UNCLOSED:
            depth = max(0, depth - 1) if end else depth + 1
            deepest = max(deepest, depth)
    return deepest


def _with_end_tag(element: re.Match[str]) -> str:
    """The element of a match of `_SELF_CLOSED` as HTML: with an end tag, unless HTML has none for it."""
    name = element[1]
    return element[0] if name.lower() in _VOID else f"<{name}{element[2]}></{name}>"


def _shown_text(html: str) -> tuple[str, int]:
    """The text that a reader sees, and the number of pictures."""
    from selectolax.lexbor import LexborHTMLParser

    root = LexborHTMLParser(html).root
    parts: list[str] = []
    pictures = 0
    for part in _walk(root) if root is not None else ():
        pictures += part is None
        parts.append(part or "")
    return "".join(parts), pictures


def _walk(root: LexborNode) -> Iterator[str | None]:
    """The texts in order, a new line where a line begins or ends, and None for a picture.

    It goes from node to node without recursion or a stack, so that deep documents take no more memory.
    """
    node: LexborNode | None = root
    while node is not None:
        # Lexbor's names of nodes that are no elements, such as texts and comments, begin with a hyphen.
        tag, below = node.tag, None
        if tag == "-text":
            yield node.text_content or ""
        elif tag in _PICTURES:
            yield None
        elif tag is not None and not tag.startswith("-") and not _is_hidden(node, tag):
            below = node.first_child
            if tag in _LINES:
                yield "\n"
        if below is None:
            # Up to the nearest node with a next one, and from there on with that one.
            while node is not None and node.next is None and node.mem_id != root.mem_id:
                node = node.parent
                if node is not None and node.tag in _LINES:
                    yield "\n"
            below = None if node is None or node.mem_id == root.mem_id else node.next
        node = below


def _is_hidden(node: LexborNode, tag: str) -> bool:
    if tag in _UNSEEN:
        return True
    attributes = node.attributes
    return bool(attributes) and (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or attributes.get("role") == "navigation"
        or _HIDDEN.search(attributes.get("style") or "") is not None
    )
