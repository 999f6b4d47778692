"""The cells of a list as the fields of a draft, in the spellings of spreadsheets, databases and other systems."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

from hashdb.cli.contributions.columns import FIELDS, HASHES, IMPLYING, VIDEO, VPDQ, normalize, quote_name, to_algorithm
from hashdb.cli.contributions.dates import Dates
from hashdb.domain.contributions import Media
from hashdb.domain.signals import Algorithm
from hashdb.domain.tiers import TIERS, ImpliedCodes, incident_label, read_level, read_tier
from hashdb.domain.vocabulary import Vocabulary, incident_fault
from hashdb.errors import Fault
from hashdb.hashing.addresses import url_signals
from hashdb.wire.sharing.vpdq import read_vpdq

_EMPTY: Final = frozenset({"", "null", "none", "nan", "n/a", "#n/a", "\\n"})
"""How programs write a value that is not there, in lower case."""
_CODES: Final = {"labels": "behaviour", "context": "context", "basis": "basis", "tco_ground": "tco_ground"}
"""Fields that have codes, with the kind of code in the vocabulary."""
_LISTS: Final = frozenset({"labels", "context"})
_NUMBERS: Final = frozenset({"quality", "severity"})
_TIMES: Final = frozenset({"removed_at", "notified_at", "expires_at"})
_HEX = re.compile(r"[0-9a-f]+", re.ASCII)
_SIGNAL = re.compile(rf"(?:{'|'.join(Algorithm)}):[0-9a-f]+", re.ASCII)
_SCIENTIFIC = re.compile(r"\d+(?:[.,]\d+)?[Ee]\+\d+", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}", re.ASCII)
_WHOLE_NUMBER = re.compile(r"(\d{1,9})(?:[.,]0+)?", re.ASCII)
_HASHES_IN_HEX = re.compile(r"[0-9a-fA-F\s,;|]+", re.ASCII)
_SEPARATORS = re.compile(r"[\s,;|]+")
_COMMAS = re.compile(r"[,;|\n]+")
_BRACKETS: Final = " \t\r\n'\"[]{}"
_MOST_CODES_READ: Final = 4_096
_PICTURE_NAMES: Final = frozenset({"photo", "picture"})
_VIDEO_COLUMNS: Final = frozenset(name for name in HASHES if name.startswith(VIDEO))
_HASH_COLUMNS: Final = frozenset({"signals", "hash", *HASHES})
_OTHER_FIELDS: Final = frozenset(FIELDS) - {"signals"}
_OF_ITEMS: Final = tuple(algorithm for algorithm in Algorithm if not algorithm.of_text)
"""The algorithms of whole items: the hash of a window of words is in `frames`."""
_DIGITS: Final = {str(algorithm): algorithm.bits // 4 for algorithm in Algorithm}


class Row(NamedTuple):
    """A row, numbered by its first line: its fields, or its faults. `whole`: the faults are those of the whole list."""

    line: int
    fields: Mapping[str, object]
    faults: tuple[Fault, ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Values:
    """How the cells of a list are read."""

    dates: Dates = field(default_factory=Dates)
    algorithm: Algorithm | None = None
    """The algorithm of hashes that name none."""
    vocabulary: Vocabulary | None = None
    _codes_read: dict[tuple[str, str], object] = field(default_factory=dict, compare=False)
    """The codes that were read, by field and cell: a list has few different cells with codes."""

    def row(self, line: int, cells: Iterable[tuple[str, object]]) -> Row:
        """The row of these cells, each after the name of the field or algorithm that it holds; no name occurs twice."""
        by_name = {name: value for name, value in cells if not _is_empty(name, value)}
        fields, faults, signals = dict[str, object](), list[Fault](), list[str]()
        is_hashed = False
        implied = _implied(by_name, faults)
        algorithm = by_name.pop("algorithm", None)
        cells = list(by_name.items())
        if algorithm is not None and "hash" in by_name:
            # Another column may be of this algorithm: the hashes of both count.
            cells.remove(("hash", by_name["hash"]))
            try:
                cells.insert(0, (_algorithm(str(algorithm)), by_name["hash"]))
            except ValueError as error:
                faults.append(Fault("algorithm", str(error)))
        for name, value in cells:
            try:
                if name in _OTHER_FIELDS:
                    fields[name] = self._value(name, value)
                elif name == VPDQ:
                    if "frames" in by_name or "frames" in fields:
                        raise ValueError("the frames are in two columns: leave one out (--ignore-column NAME)")
                    fields = read_vpdq(value) | fields
                elif isinstance(value, str) and name == "signals" and _SIGNAL.fullmatch(value):
                    signals.append(value)
                    is_hashed = True
                elif isinstance(value, str | list | dict):
                    signals += self._signals(value) if name in ("signals", "hash") else _read_hashes(name, value)
                    is_hashed = True
                else:
                    raise ValueError("must be a text in hexadecimal digits")
            except ValueError as error:
                faults.append(Fault(name, str(error)))
        if is_hashed or "frames" in fields:
            fields.setdefault("signals", list(dict.fromkeys(signals)))
        if media := _implied_media({name for name, _ in cells}, fields.get("frames")):
            fields.setdefault("media", str(media))
        return Row(line, {} if faults else _add_implied(fields, implied), tuple(faults))

    def _value(self, name: str, value: object) -> object:
        """The value of this field, as the API takes it, from its cell. Raises ValueError."""
        if name in _CODES:
            if not isinstance(value, str):
                return self._codes(name, value) if isinstance(value, list) else value
            codes = self._codes_read.get((name, value))
            if codes is None:
                codes = self._codes(name, value)
                if len(self._codes_read) < _MOST_CODES_READ:
                    self._codes_read[name, value] = codes
            return codes
        if name in _TIMES:
            is_time = isinstance(value, str | int | float) and not isinstance(value, bool)
            return self.dates.read(str(value).strip()) if is_time else value
        if name in _NUMBERS:
            return _number(name, value)
        if name == "reference":
            # The member's own id is stored exactly as it was sent.
            return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(value, str):
            return value
        if name in ("frames", "duration"):
            try:
                return json.loads(value)
            except (ValueError, RecursionError):
                raise ValueError("is not JSON") from None
        if name == "signatures":
            return value.split()
        return _media(value) if name == "media" else value.strip()

    def _signals(self, value: str | list[object] | dict[str, object]) -> Iterator[str]:
        """The signals of a text, a list, or an object that has the hashes by algorithm."""
        if isinstance(value, dict):
            for name, hashes in value.items():
                yield from _read_hashes(_algorithm(name), hashes)
            return
        for text in _texts(value, _SEPARATORS):
            name, colon, digits = text.partition(":")
            if _SIGNAL.fullmatch(text):
                yield text
            elif colon:
                yield _signal(_algorithm(name), digits)
            elif self.algorithm is not None:
                yield from _read_hashes(self.algorithm, text)
            else:
                raise ValueError("has no algorithm: name it in a column `algorithm`, or pass --algorithm")

    def _codes(self, name: str, value: str | list[object]) -> object:
        """The codes of a cell, of which spaces, case and marks do not count; one code where the field has one."""
        by_form = {} if self.vocabulary is None else _codes_by_form(self.vocabulary, _CODES[name])
        if name not in _LISTS:
            return by_form.get(normalize(value), value.strip()) if isinstance(value, str) else value
        codes = list[str]()
        for text in _texts(value, _COMMAS):
            whole = by_form.get(normalize(text))
            words = [text] if whole else text.split()
            # `violent extremism` is reported as one unknown label, `manifesto synthetic` as one known and one unknown.
            if by_form and not any(normalize(word) in by_form for word in words):
                words = [text]
            codes += [whole] if whole else [by_form.get(normalize(word), word) for word in words]
        return codes


def _implied(given: dict[str, object], faults: list[Fault]) -> ImpliedCodes | None:
    """Take `tier` and `incident_level` out of the cells; return the tier's label and severity, if there is a tier."""
    tier, level = (str(given.pop(name, "") or "") for name in IMPLYING)
    if level:
        try:
            read = read_level(level)
            incident = str(given.get("incident", ""))
            if not incident:
                raise ValueError("needs the name of the incident: a column `incident`")
            if incident_fault(incident):
                given["incident"] = incident_label(read, incident)
        except ValueError as error:
            faults.append(Fault("incident_level", str(error)))
    try:
        return TIERS[read_tier(tier)] if tier else None
    except ValueError as error:
        faults.append(Fault("tier", str(error)))
        return None


def _add_implied(fields: dict[str, object], implied: ImpliedCodes | None) -> dict[str, object]:
    """The fields of a row with those that its tier implies: one more label, and a severity if the row has none."""
    if implied is not None:
        label, severity = implied
        labels = fields.get("labels") or []
        if isinstance(labels, list):
            fields["labels"] = [*labels, *([] if label in labels else [label])]
        if severity is not None:
            fields.setdefault("severity", severity)
    return fields


@cache
def _codes_by_form(vocabulary: Vocabulary, kind: str) -> Mapping[str, str]:
    """The codes of this kind by their normalized form, without codes that share one."""
    codes: tuple[str, ...] = getattr(vocabulary, kind)
    forms = [normalize(code) for code in codes]
    return {form: code for form, code in zip(forms, codes, strict=True) if forms.count(form) == 1}


def _implied_media(names: Collection[str], frames: object) -> Media | None:
    """The kind of content that columns of these names, and frames, are of; None if they do not tell it."""
    if frames:
        listed = frames if isinstance(frames, list) else []
        places = {name for frame in listed if isinstance(frame, dict) for name in frame}
        return Media.DOCUMENT if "page" in places else Media.TEXT if "words" in places else Media.VIDEO
    if not _VIDEO_COLUMNS.isdisjoint(names):
        return Media.VIDEO
    return Media.DOCUMENT if _HASH_COLUMNS.intersection(names) == {Algorithm.URL} else None


def _read_hashes(name: str, value: object) -> Iterator[str]:
    """The signals of a cell with the hashes of one algorithm, one or several. Addresses are hashed here."""
    algorithm = name.removeprefix(VIDEO)
    if algorithm == Algorithm.URL and not _HASHES_IN_HEX.fullmatch(str(value)):
        # Commas and semicolons are of the address.
        for text in map(str, value) if isinstance(value, list) else str(value).split():
            yield (
                _signal(algorithm, text) if _HEX.fullmatch(text.lower()) else str(url_signals(text, for_query=False)[0])
            )
        return
    texts = _texts(value, _SEPARATORS) if isinstance(value, str | list) else [str(value)]
    digits = _DIGITS.get(algorithm, 0)
    # A hash may be written in groups, which together have its length.
    if len(texts) > 1 and sum(map(len, texts)) == digits:
        texts = ["".join(texts)]
    for text in texts:
        yield _signal(algorithm, text)


def _signal(name: str, text: str) -> str:
    """The signal of a hash with this spelling. Raises ValueError for one that is recognised as something else."""
    algorithm = name.removeprefix(VIDEO)
    digits = text.lower().removeprefix("0x")
    if not _HEX.fullmatch(digits) and (expected := _DIGITS.get(algorithm, 0)):
        joined = re.sub(r"[:-]", "", digits)
        if _SCIENTIFIC.fullmatch(text):
            raise ValueError(
                f"a spreadsheet changed this {algorithm} into a number: format the column as text and paste again"
            )
        if len(joined) == expected:
            digits = joined
        elif _BASE64.fullmatch(text) and len(text.rstrip("=")) == -(-expected * 2 // 3):
            raise ValueError(f"this {algorithm} is in base64: write it as {expected} hexadecimal digits")
    return f"{algorithm}:{digits}"


def _algorithm(name: str) -> str:
    """The one of HASHES that a name means. Raises ValueError."""
    if algorithm := to_algorithm(name):
        return algorithm
    raise ValueError(f"{quote_name(name)} is not an algorithm of hashdb: {', '.join(_OF_ITEMS)}")


def _texts(value: str | list[object], separators: re.Pattern[str]) -> list[str]:
    """The parts of a cell with a list: `a b`, `a; b`, `["a", "b"]`, `{a,b}`."""
    if isinstance(value, list):
        return [text.strip() if isinstance(text, str) else json.dumps(text) for text in value]
    return [part for text in separators.split(value) if (part := text.strip(_BRACKETS))]


def _is_empty(name: str, value: object) -> bool:
    if isinstance(value, str) and value and name != "reference":
        text = value.strip()
        return len(text) < 5 and text.lower() in _EMPTY
    return value is None or value == "" or (value == [] and name != "signals")


def _number(name: str, value: object) -> object:
    """The whole number of a cell. Programs write `3.0` and `3,0` for whole numbers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str):
        return value
    if whole := _WHOLE_NUMBER.fullmatch(value.strip()):
        return int(whole[1])
    if name == "severity":
        raise ValueError("must be a number from 0 to 4, where 4 is a crisis: words are not accepted")
    return value


def _media(text: str) -> str:
    """The kind of content that a MIME type means, or a name for a picture in HMA and spreadsheets."""
    name = text.strip().lower()
    kind, slash, _ = name.partition("/")
    kind = kind if slash else name.replace(" ", "_").replace("-", "_")
    return str(Media.IMAGE) if kind in _PICTURE_NAMES else str(Media.DOCUMENT) if kind == "application" else kind
