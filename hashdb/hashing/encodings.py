"""Tell plain text from other files by its bytes, and decode it.

A byte order mark names the encoding. Without a mark, it is UTF-8 or UTF-16 if the bytes are valid in it. An older
encoding (before Unicode) is accepted if the file states it. Else it is guessed: the words or letters that are frequent
in its languages must be much more frequent in this encoding of the text than in any other.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from typing import Final, NamedTuple

from hashdb.errors import UnreadablePicture

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks and their encodings. UTF-32 is before UTF-16, whose little-endian mark is the start of UTF-32's."""
_UTF_16: Final = ("utf-16-le", "utf-16-be")
_UTF_16_NULS: Final = 0.2
"""The least share of the high bytes that are 0 in UTF-16 without a mark: those of spaces and of Latin letters are."""
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
"""Control characters: a text has none of these bytes, unless it is in UTF-16 or UTF-32."""
_DIGIT_PICTURE: Final = re.compile(rb"P[1-3]\s+[0-9#]")
"""How pictures begin whose pixels are written as numbers in ASCII (the Netpbm formats P1 to P3)."""
_UNKNOWN: Final = "the encoding of the text is unknown: save it as UTF-8"
_DAMAGED_SHARE: Final = 0.01
"""The largest share of the letters of a text that may be damaged (not valid UTF-8)."""
_SAMPLE_BYTES: Final = 65_536
"""The first bytes of a text, the sample in which its encoding is looked for."""
_LEAST_SHARE: Final = 0.05
"""The least share of the words or letters of a text that must be frequent ones."""
_CLEAR_LEAD: Final = 2
"""How many times as many frequent words the guessed encoding must have as any other encoding."""
_FOREIGN: Final = re.compile(
    "[\xa2-\xa6\xa8\xa9\xac-\xaf\xb1-\xb6\xb8\xb9\xbc-\xbe](?=\\w)|[\xaa\xba](?=[^\\W\\d_])"
    "|[\xd0\xd7\xdd\xde\xf0\xf7\xfd\xfe\u0161\u017e\u0178\xa5\xa6\xac\xb9\xb3]|[\xc0-\xff]{3}"
)
"""What a text in another encoding becomes if it is decoded as Western European (cp1252), where a text has none of it.

These are signs within a word, letters that are rare in these languages, and three accented letters in a row.
"""


class _Legacy(NamedTuple):
    """An older encoding, and frequent words (with spaces) or letters of the languages that are written in it."""

    encoding: str
    frequent: str

    @property
    def by_letter(self) -> bool:
        """Whether letters are counted instead of words: in scripts without spaces."""
        return " " not in self.frequent

    @property
    def parts(self) -> frozenset[str]:
        """The frequent words or letters."""
        return frozenset(self.frequent if self.by_letter else self.frequent.split())


_LEGACY: Final = (
    _Legacy(
        "cp1252",
        "the of and that with der die das und ist nicht mit den le les des est une dans pour que el los las una por "
        "con del gli che di della per não uma para os dos het een van och att det som på og til af ikke ja että on ei "
        "ned amb els les unha",
    ),
    _Legacy(
        "cp1250",
        "się może być także które który można więcej nie jest není také může ještě jsou při však která který když než "
        "aby pokud však ktorý môže byť ešte ktoré že ďalšie će što može biti također više još če še lahko tudi več și "
        "în să din pentru este când poate această și între după către până és egy az hogy nem több közül között előtt",
    ),
    _Legacy("cp1251", "не на что это как по для или из от то все за но можно если та що до це як од"),
    _Legacy("koi8-r", "не на что это как по для или из от то все за но можно если"),
    _Legacy("cp1253", "και το να την του της τα με για από που σε είναι στο στην των θα δεν"),  # noqa: RUF001
    _Legacy("cp1255", "את של על לא עם או זה הוא כי אל אם גם יש כל היא אני"),
    _Legacy("cp1256", "في من على إلى أن لا ما هذا هذه التي الذي عن مع أو كان به از در که را این است با"),
    _Legacy("gb18030", "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你"),
    _Legacy("big5", "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你"),
    _Legacy("shift_jis", "のにはをたがでてとしれさいるすまなもらりこ"),
    _Legacy("euc-jp", "のにはをたがでてとしれさいるすまなもらりこ"),
    _Legacy("euc-kr", "이다는을의가에고하지로기도한를은서어"),
)


def load_encodings() -> None:
    """Load the encodings that are read, for a process that can open no file later."""
    marks = (encoding for _, encoding in _MARKS)
    older = (legacy.encoding for legacy in _LEGACY)
    for encoding in (*marks, *_UTF_16, "utf-32-le", "utf-32-be", *older, *_ALIASES.values()):
        b"text".decode(encoding, "ignore")


def begins_as_text(head: bytes) -> bool:
    """Whether these first bytes of a file are those of a text, in any encoding that is read."""
    if head.startswith(tuple(mark for mark, _ in _MARKS)):
        return True
    if _CONTROLS.search(head) is None:
        return bool(head.strip()) and not _DIGIT_PICTURE.match(head)
    return _utf_16(head) is not None


def decode(octets: bytes, stated: str | None = None) -> str:
    """The text of a file: as Unicode if it is that, else in the `stated` encoding if known, else in a guessed one.

    Without any of these, it is read as damaged UTF-8. Raises UnreadablePicture if too many letters are damaged.
    """
    for mark, encoding in _MARKS:
        if octets.startswith(mark):
            return octets.decode(encoding, "replace")
    try:
        return octets.decode()
    except UnicodeDecodeError:
        likely = _utf_16(octets) or _known(stated) or _guess(octets)
    text = octets.decode(likely or "utf-8", "replace")
    if likely is None and text.count("\ufffd") > _DAMAGED_SHARE * len(text):
        raise UnreadablePicture(_UNKNOWN)
    return text


def _utf_16(octets: bytes) -> str | None:
    """The encoding of a text in UTF-16 without a mark; None if it is not UTF-16.

    The high byte of each pair is often 0, and the low byte never.
    """
    head = octets[:_SAMPLE_BYTES]
    for encoding, high in zip(_UTF_16, (1, 0), strict=True):
        high_nuls, low_nuls = head[high::2].count(0), head[1 - high :: 2].count(0)
        if high_nuls >= max(1, _UTF_16_NULS * len(head) / 2) and not low_nuls:
            even_length = len(head) // 2 * 2
            text = head[:even_length].decode(encoding, "replace")
            if _CONTROLS.search(text.encode("latin-1", "replace")) is None:
                return encoding
    return None


def _known(stated: str | None) -> str | None:
    """Python's name of the stated encoding, if hashdb reads it; else None."""
    names = {_plain(legacy.encoding): legacy.encoding for legacy in _LEGACY} | _ALIASES
    return None if stated is None else names.get(_plain(stated))


def _plain(name: str) -> str:
    """A name of an encoding in lower case, without punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


_ALIASES: Final = {
    "iso88591": "cp1252", "latin1": "cp1252", "windows1252": "cp1252", "iso885915": "cp1252", "usascii": "cp1252",
    "windows1250": "cp1250", "windows1251": "cp1251", "ibm866": "cp866", "koi8u": "koi8-r", "windows1253": "cp1253",
    "iso88597": "cp1253", "windows1255": "cp1255", "iso88598": "cp1255", "windows1256": "cp1256", "gb2312": "gb18030",
    "gbk": "gb18030", "xsjis": "shift_jis", "sjis": "shift_jis", "ksc56011987": "euc-kr", "big5hkscs": "big5",
}  # fmt: skip
"""Python's name of an encoding by the other names that files state, each in the form of `_plain`."""


def _guess(octets: bytes) -> str | None:
    """The older encoding in which by far the most words of a text are frequent words; None if there is none."""
    shares = {legacy.encoding: share for legacy in _LEGACY if (share := _frequent_share(octets, legacy))}
    if not shares:
        return None
    (best, share), *others = sorted(shares.items(), key=lambda item: -item[1])
    return best if not others or share >= _CLEAR_LEAD * others[0][1] else None


def _frequent_share(octets: bytes, legacy: _Legacy) -> float:
    """The share of the words (or of the letters that are not ASCII) of a text that are frequent in an encoding.

    0 if the bytes are not a text in this encoding, or if fewer than `_LEAST_SHARE` are.
    """
    # The sample of a longer text may end within a character.
    is_whole = len(octets) <= _SAMPLE_BYTES
    try:
        decoder = codecs.getincrementaldecoder(legacy.encoding)()
        text = decoder.decode(octets[:_SAMPLE_BYTES], final=is_whole).lower()
    except UnicodeDecodeError:
        return 0.0
    # Control characters and characters for private use are in no text.
    if re.search("[\x80-\x9f\ue000-\uf8ff]", text) or (legacy.encoding == "cp1252" and _FOREIGN.search(text)):
        return 0.0
    parts = [letter for letter in text if letter > "\x7f"] if legacy.by_letter else re.findall(r"[^\W\d_]+", text)
    counts = Counter(parts)
    share = sum(counts[part] for part in legacy.parts) / max(1, len(parts))
    return share if share >= _LEAST_SHARE else 0.0
