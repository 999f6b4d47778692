"""Read the text of DOCX, ODT and EPUB: archives of XML. No macro is run, no entity expanded, no reference followed."""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, Final, NamedTuple
from urllib.parse import unquote
from xml.parsers import expat

from hashdb.errors import UnreadablePicture, VideoTooLarge
from hashdb.hashing.markup import read_html
from hashdb.hashing.reading import Content, DocumentLimits

ARCHIVE: Final = b"PK\x03\x04"
"""How an archive begins."""
_DAMAGED: Final = "the document cannot be read: it is damaged or cut short"
_LOCKED: Final = "the document is encrypted: save it without a password or protection"
_OTHER: Final = "an archive that is not a supported document (DOCX, ODT, EPUB)"
_ENTITIES: Final = "the document declares entities of XML, which are not expanded: save it as PDF or plain text"
_DEEPEST: Final = 1_000
"""The most elements within one another that are read."""
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".emf", ".wmf", ".svg", ".avif")
_CHUNK: Final = 2**20
"""Bytes that are parsed at a time: with each piece, Expat parses an unfinished tag again from its start."""
_HTML: Final = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")

_Attributes = dict[str, str]


def load_archives() -> None:
    """Load what reads archives and XML, for a process that can open no file later."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        # Names in an archive are in this encoding, unless they are marked as UTF-8: `decode` loads it.
        archive.writestr(b"content.xml".decode("cp437"), "<text>text</text>")
    read_office(file.getvalue(), DocumentLimits())


def read_office(octets: bytes, limits: DocumentLimits) -> Content:
    """The text of a document in an archive, in reading order. Raises UnreadablePicture, VideoTooLarge."""
    try:
        parts = _Parts(octets, limits)
        if "[Content_Types].xml" in parts.names:
            text = _docx(parts)
        elif "META-INF/container.xml" in parts.names:
            text = _epub(parts)
        elif "content.xml" in parts.names:
            text = _odt(parts)
        else:
            raise UnreadablePicture(_OTHER)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        NotImplementedError,
        ValueError,
        OSError,
        expat.ExpatError,
    ):
        raise UnreadablePicture(_DAMAGED) from None
    pictures = sum(name.lower().endswith(_PICTURES) and not name.startswith("Thumbnails/") for name in parts.names)
    return Content((text,), pictures=pictures)


class _Parts:
    """The files in an archive. At most `limits.max_unpacked` bytes are read of all of them together."""

    def __init__(self, octets: bytes, limits: DocumentLimits) -> None:
        self._archive = zipfile.ZipFile(BytesIO(octets))
        self._bytes_left = self._max_unpacked = limits.max_unpacked
        self.names = frozenset(self._archive.namelist())

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, in pieces."""
        entry = self._archive.getinfo(name)
        if entry.flag_bits & 1:  # encrypted
            raise UnreadablePicture(_LOCKED)
        # With other methods, the archive decides how much memory the reader takes.
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UnreadablePicture(_DAMAGED)
        with self._archive.open(entry) as file:
            while chunk := file.read(_CHUNK):
                self._bytes_left -= len(chunk)
                if self._bytes_left < 0:
                    raise VideoTooLarge(f"the document unpacks to more than {self._max_unpacked} bytes")
                yield chunk

    def parse(
        self,
        name: str,
        start: Callable[[str, _Attributes], None],
        end: Callable[[str], None] = lambda name: None,
        text: Callable[[str], None] = lambda data: None,
    ) -> None:
        """Read a file of XML. Call `start` and `end` for each element, and `text` for each piece of text.

        They get names of elements and attributes without the prefix of a namespace.
        """
        depth = 0

        def enter(name: str, attributes: _Attributes) -> None:
            nonlocal depth
            depth += 1
            if depth > _DEEPEST:
                raise UnreadablePicture(f"the document has elements nested more than {_DEEPEST} deep")
            start(_local(name), {_local(key): value for key, value in attributes.items()})

        def leave(name: str) -> None:
            nonlocal depth
            depth -= 1
            end(_local(name))

        def refuse(*_: object) -> Any:
            raise UnreadablePicture(_ENTITIES)

        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = enter, leave
        parser.EntityDeclHandler, parser.ExternalEntityRefHandler = refuse, refuse
        parser.CharacterDataHandler = text
        for chunk in self.chunks(name):
            parser.Parse(chunk)
        parser.Parse(b"", True)

    def elements(self, name: str, *kinds: str) -> list[tuple[str, _Attributes]]:
        """The name and the attributes of each element with one of the names `kinds` in a file of XML, in order."""
        found: list[tuple[str, _Attributes]] = []

        def start(kind: str, attributes: _Attributes) -> None:
            if kind in kinds:
                found.append((kind, attributes))

        self.parse(name, start)
        return found


def _local(name: str) -> str:
    return name.rpartition(":")[2]


class _Format(NamedTuple):
    """Which elements of a format have text, and what the others mean: sets of names of elements."""

    lines: frozenset[str]
    """Elements that end a line."""
    unseen: frozenset[str]
    """Elements that are not read, with all that is in them."""
    characters: dict[str, str]
    """Elements that stand for a character, and the character."""
    texts: frozenset[str] | None = None
    """The only elements whose text is read, or None to read the text of all. Only DOCX has them."""
    notes: frozenset[str] = frozenset()
    """Elements of footnotes and endnotes, whose text follows the text of the file."""


class _Collected:
    """The text of the elements of a file; notes are collected apart, and follow the text."""

    def __init__(self, format: _Format) -> None:
        """No text yet."""
        self._format = format
        # In how many open elements of a kind the reader is: unseen ones with all in them, texts, notes.
        self._unseen_depth = self._text_depth = self._note_depth = 0
        self._is_hidden = False
        self._text: list[str] = []
        self._notes: list[str] = []

    def start(self, name: str, attributes: _Attributes) -> None:
        """An element begins."""
        if self._unseen_depth or name in self._format.unseen:
            self._unseen_depth += 1
            return
        self._note_depth += name in self._format.notes
        if self._format.texts is not None:
            self._text_depth += name in self._format.texts
            if name == "vanish" and attributes.get("val", "1") not in ("0", "false", "off"):  # hidden text in DOCX
                self._is_hidden = True
        if name in self._format.characters:
            self._add(self._format.characters[name])

    def end(self, name: str) -> None:
        """An element ends."""
        if self._unseen_depth:
            self._unseen_depth -= 1
            return
        if self._format.texts is not None:
            self._text_depth -= name in self._format.texts
            if name == "r":  # a run of DOCX: text of one style, which `vanish` hides
                self._is_hidden = False
        if name in self._format.lines:
            self._add("\n")
        if name in self._format.notes:
            self._add("\n")
            self._note_depth -= 1

    def text(self, data: str) -> None:
        """A piece of text."""
        if not self._unseen_depth and not self._is_hidden and (self._format.texts is None or self._text_depth):
            self._add(data)

    def _add(self, data: str) -> None:
        (self._notes if self._note_depth else self._text).append(data)

    def __str__(self) -> str:
        return "".join((*self._text, "\n", *self._notes))


def _collect(parts: _Parts, name: str, format: _Format) -> str:
    """The text of a file of the archive."""
    collected = _Collected(format)
    parts.parse(name, collected.start, collected.end, collected.text)
    return str(collected)


_DOCX: Final = _Format(
    lines=frozenset(("p", "tr")),
    # Text that is there in another form as well, was deleted or moved away, or is an instruction to Word.
    unseen=frozenset(("Fallback", "del", "moveFrom", "instrText", "delText")),
    characters={"tab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "softHyphen": "\u00ad"},
    texts=frozenset(("t",)),
)
_DOCX_FURTHER: Final = ("footnotes", "endnotes", "header", "footer")
"""The kinds of the files whose text follows the main text, in this order."""


def _docx(parts: _Parts) -> str:
    """The text of a DOCX: of its main file, then of the files that this one refers to."""
    (main, *_) = [target for kind, target in _relationships(parts, "") if kind == "officeDocument"] or [""]
    if not posixpath.basename(main).startswith("document"):
        raise UnreadablePicture("an Office file that is not a text document: save it as PDF")
    further = _relationships(parts, main)
    names = [target for wanted in _DOCX_FURTHER for kind, target in further if kind == wanted and target in parts.names]
    return "\n".join(_collect(parts, name, _DOCX) for name in (main, *dict.fromkeys(names)))


def _relationships(parts: _Parts, file: str) -> list[tuple[str, str]]:
    """The kind and the path of each file that a file of the archive (empty: the archive itself) refers to, in order."""
    folder, name = posixpath.split(file)
    file_of_relationships = posixpath.join(folder, "_rels", f"{name}.rels")
    if file_of_relationships not in parts.names:
        return []
    relationships: list[tuple[str, str]] = []
    for _, attributes in parts.elements(file_of_relationships, "Relationship"):
        if attributes.get("TargetMode") != "External":
            target = attributes.get("Target", "")
            path = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            relationships.append((attributes.get("Type", "").rpartition("/")[2], path))
    return relationships


_ODT: Final = _Format(
    lines=frozenset(("p", "h", "table-row")),
    unseen=frozenset(
        ("annotation", "tracked-changes", "note-citation", "hidden-text", "hidden-paragraph", "script", "scripts",
         "forms", "automatic-styles", "font-face-decls", "meta", "settings", "object-ole", "binary-data", "desc",
         "title")
    ),
    characters={"s": " ", "tab": " ", "line-break": "\n", "soft-page-break": " "},
    notes=frozenset(("note",)),
)  # fmt: skip


def _odt(parts: _Parts) -> str:
    """The text of an ODT: of its body, then of its headers and footers, which are among the styles."""
    if "META-INF/manifest.xml" in parts.names and parts.elements("META-INF/manifest.xml", "encryption-data"):
        raise UnreadablePicture(_LOCKED)
    names = [name for name in ("content.xml", "styles.xml") if name in parts.names]
    return "\n".join(_collect(parts, name, _ODT) for name in names)


def _epub(parts: _Parts) -> str:
    """The text of an EPUB: of its chapters in reading order, each of which is a file of HTML."""
    packages = [
        attributes.get("full-path", "") for _, attributes in parts.elements("META-INF/container.xml", "rootfile")
    ]
    if not packages:
        raise UnreadablePicture(_DAMAGED)
    if "META-INF/rights.xml" in parts.names or "META-INF/sinf.xml" in parts.names:
        raise UnreadablePicture(_LOCKED)
    items: dict[str, tuple[str, str]] = {}  # the path and the media type of each file, by its id
    spine: list[str] = []  # the ids of the chapters in reading order, as EPUB calls it
    for name, attributes in parts.elements(packages[0], "item", "itemref"):
        if name == "item":
            items[attributes.get("id", "")] = attributes.get("href", ""), attributes.get("media-type", "")
        elif attributes.get("linear") != "no":
            spine.append(attributes.get("idref", ""))
    folder = posixpath.dirname(packages[0])
    chapters: dict[str, None] = {}
    for reference in spine:
        href, kind = items.get(reference, ("", ""))
        name = posixpath.normpath(posixpath.join(folder, unquote(href)))
        if kind in _HTML and name in parts.names:
            chapters[name] = None
    return "\n".join([read_html(b"".join(parts.chunks(name))).texts[0] for name in chapters])
