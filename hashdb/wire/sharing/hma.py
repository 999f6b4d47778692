"""Models of HMA's REST API."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, RootModel

from hashdb.domain.contributions import Contribution, Media, Status
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.matching.matches import Match, Query
from hashdb.domain.sharing.exchanges import BankHit
from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal
from hashdb.errors import InvalidInput, MalformedRequest
from hashdb.wire import Line
from hashdb.wire.sharing import CommaSeparated, ForeignRequest, digits_of
from hashdb.wire.sharing.passages import PASSAGES, passages_text, read_passages
from hashdb.wire.sharing.vpdq import read_vpdq, vpdq_json

VPDQ: Final = "vpdq"
_VPDQ_NAMES: Final = (VPDQ, "video_vpdq")
_VIDEO_DIGESTS: Final = {"video_md5": Algorithm.MD5, "video_sha256": Algorithm.SHA256}
_VIDEO_DIGEST_NAMES: Final = {algorithm: name for name, algorithm in _VIDEO_DIGESTS.items()}
_FILE_DIGESTS: Final = {str(Algorithm.MD5): Algorithm.MD5, str(Algorithm.SHA256): Algorithm.SHA256}
"""Digests of files that are not videos, such as documents."""
_ADDRESS: Final = str(Algorithm.URL)
# The types that match only equal values, each with its algorithm.
_ALL_EXACT: Final = {**_VIDEO_DIGESTS, **_FILE_DIGESTS, _ADDRESS: Algorithm.URL}
_TEXT: Final = "raw_text"
_PDQ_OCR: Final = "pdq_ocr"
"""A type whose values are a PDQ hash, a comma, and the text that was read in the picture."""
_UNMAPPED: Final = {
    "url_md5": "it is the MD5 of another form of the address: send `url`",
    "text_tlsh": "it cannot be computed from a SimHash, nor the other way round: send `raw_text` or `simhash256`",
    "trend_query": "it is an expression over words, and hashdb stores none: keep it at your side",
}
"""Signal types of HMA and its extensions that have no counterpart, each with the reason."""
UPLOAD_FIELDS: Final = ("photo", "video", "text", "pdf", "file")
"""The form fields of files. `file` has any."""
_NO_DISTANCE: Final = "-"
"""What HMA gives as the distance of types that match only equal values."""

_Flag = Annotated[bool, BeforeValidator(lambda text: str(text).lower() in ("1", "true", "yes", "on"))]


class HashQuery(ForeignRequest):
    """The URL of the picture to hash, if it is not in the body, and the algorithms."""

    url: str | None = None
    content_type: str = "photo"
    types: CommaSeparated = ()


class LookupQuery(HashQuery):
    """The signal of a type, or the picture, to look up, and in which banks (none: in all)."""

    signal: str | None = None
    signal_type: str | None = None
    banks: CommaSeparated = ()
    include_distance: _Flag = False


class StatusQuery(ForeignRequest):
    """The type whose status is asked for."""

    signal_type: str | None = None


class BankIn(ForeignRequest):
    """The name of a bank."""

    name: str


class ContentQuery(ForeignRequest):
    """Which parts of a content to return."""

    include_signals: _Flag = False
    include_metadata: _Flag = True


class ContentChange(ForeignRequest):
    """A change of a content; the value 1 means enabled, and every content is."""

    disable_until_ts: int = 1


class MetadataIn(ForeignRequest):
    """The metadata of a content; only the member's own id is stored."""

    content_id: Line | None = None


class SignalsIn(RootModel[dict[str, str]]):
    """The signals of one content, by type, and a note, which is not stored."""

    def fields(self, enabled: Collection[Algorithm]) -> dict[str, Any]:
        """The fields of the draft with these signals. Raises MalformedRequest."""
        texts = {name: text for name, text in self.root.items() if name != "note"}
        if not texts:
            raise MalformedRequest("No signals given")
        fields: dict[str, Any] = {"signals": []}
        for name, text in texts.items():
            of_type = signal_fields(name, text, enabled)
            frames = [*fields.get("frames", ()), *of_type.get("frames", ())]
            fields |= of_type | {"signals": [*fields["signals"], *of_type["signals"]]}
            if frames:
                fields["frames"] = frames
        return fields | _media_of(texts.keys())


class CompareIn(RootModel[dict[str, tuple[str, str]]]):
    """Two signals to compare, by type."""

    def pairs(self, enabled: Collection[Algorithm]) -> dict[str, tuple[Signal, Signal]]:
        """The pairs by type. Raises MalformedRequest."""
        if not self.root:
            raise MalformedRequest("two signals of a type are needed to compare")
        if _TEXT in self.root:
            raise MalformedRequest(f"{_TEXT} does not support hash comparison: look the text up")
        if video := next((name for name in self.root if name in _VPDQ_NAMES), None):
            raise MalformedRequest(f"{video} does not support hash comparison: look the video up")
        return {
            name: (_parse_signal(name, first, enabled), _parse_signal(name, second, enabled))
            for name, (first, second) in self.root.items()
        }


def _media_of(names: Collection[str]) -> dict[str, str]:
    """The field `media` of a content with these signal types."""
    if not {*_VIDEO_DIGESTS, *_VPDQ_NAMES}.isdisjoint(names):
        return {"media": str(Media.VIDEO)}
    if PASSAGES in names:
        return {"media": str(Media.TEXT)}
    if {*_FILE_DIGESTS, _ADDRESS}.issuperset(names):
        return {"media": str(Media.DOCUMENT)}
    return {}


def type_names(enabled: Iterable[Algorithm]) -> tuple[str, ...]:
    """The names of the signal types: the algorithms of the service, and the types of videos, files and texts."""
    return (*map(str, enabled), *_VIDEO_DIGESTS, VPDQ, *_FILE_DIGESTS, _ADDRESS, PASSAGES, _TEXT)


def resolve_type(name: str, enabled: Collection[Algorithm]) -> str:
    """The signal type of a name: `video_vpdq` and `pdq_ocr` are further names of types. Raises MalformedRequest."""
    names = type_names(enabled)
    if name in _UNMAPPED:
        raise MalformedRequest(f"No such SignalType: {name} is not supported, because {_UNMAPPED[name]}")
    if name == _PDQ_OCR and Algorithm.PDQ in enabled:
        return str(Algorithm.PDQ)
    if name not in names and name not in _VPDQ_NAMES:
        raise MalformedRequest(f"No such SignalType: there are {', '.join(names)}")
    return VPDQ if name in _VPDQ_NAMES else name


def types_out(enabled: Iterable[Algorithm]) -> list[dict[str, object]]:
    """The signal types."""
    return [{"name": name, "enabled_ratio": 1.0} for name in type_names(enabled)]


def content_types_out() -> list[dict[str, object]]:
    """The types of content."""
    return [{"name": name, "enabled": True} for name in ("photo", "video", "text", "url", "file", "pdf")]


def indexed_algorithms(signal_type: str | None, enabled: Collection[Algorithm]) -> dict[str, Algorithm]:
    """By the name of a type: the algorithm whose index has its values; without `signal_type`, all that are enabled.

    Raises MalformedRequest.
    """
    if signal_type is None:
        return {str(algorithm): algorithm for algorithm in enabled}
    name = resolve_type(signal_type, enabled)
    if name in _ALL_EXACT:
        raise MalformedRequest(f"{name} has no index: the database finds equal values")
    if name in (PASSAGES, _TEXT):
        return {name: Algorithm.SIMHASH256}
    return {name: Algorithm.PDQ if name == VPDQ else Algorithm(name)}


def _parse_signal(name: str, text: str, enabled: Collection[Algorithm]) -> Signal:
    """The signal of a type that is not vPDQ. Raises MalformedRequest."""
    signal_type = resolve_type(name, enabled)
    if name == _PDQ_OCR:
        # The text that was read in the picture is behind the hash.
        text = text.partition(",")[0]
    try:
        return Signal.parse(f"{_VIDEO_DIGESTS.get(signal_type, signal_type)}:{text.lower()}")
    except ValueError as error:
        raise MalformedRequest(f"invalid signal: {error}") from None


def signal_fields(name: str, text: str, enabled: Collection[Algorithm]) -> dict[str, Any]:
    """The fields of the draft or the query with a signal of a type. Raises MalformedRequest.

    The value of `url` is one digest or two, and that of `simhash256` a window or a list; addresses and texts are
    hashed before.
    """
    signal_type = resolve_type(name, enabled)
    try:
        if signal_type == PASSAGES and text.lstrip().startswith("["):
            return {"signals": [], "frames": read_passages(text)}
        if signal_type == _ADDRESS:
            return {"signals": [str(_parse_signal(name, digits, enabled)) for digits in re.split("[ ,]", text)]}
        if signal_type != VPDQ:
            return {"signals": [str(_parse_signal(name, text, enabled))]}
        return {"signals": [], **read_vpdq(text)}
    except ValueError as error:
        raise MalformedRequest(f"invalid signal: {error}") from None


def hashes_out(signals: Iterable[Signal], quality: int | None, types: Collection[str]) -> dict[str, str]:
    """The signals of a picture by type; PDQ is empty if the quality is too low for it, as in HMA."""
    is_flat = quality is not None and quality < MINIMUM_QUALITY
    return {
        str(signal.algorithm): "" if is_flat and signal.algorithm is Algorithm.PDQ else digits_of(signal)
        for signal in signals
        if not types or signal.algorithm in types
    }


def video_hashes_out(signals: Iterable[Signal], frames: Sequence[Frame], types: Collection[str]) -> dict[str, str]:
    """The digests and the vPDQ of a video, by type."""
    hashes = {_VIDEO_DIGEST_NAMES[signal.algorithm]: digits_of(signal) for signal in signals}
    return {name: text for name, text in {**hashes, VPDQ: vpdq_json(frames)}.items() if not types or name in types}


def text_hashes_out(signals: Iterable[Signal], frames: Sequence[Frame], types: Collection[str]) -> dict[str, str]:
    """The digests of a document or a text, and the windows of its words, by type; its pages have no type."""
    hashes = {str(signal.algorithm): digits_of(signal) for signal in signals}
    if any(frame.unit is Unit.WORDS for frame in frames):
        hashes[PASSAGES] = passages_text(frames)
    return {name: text for name, text in hashes.items() if not types or name in types}


def hits_out(
    hits: Iterable[BankHit], signal_type: str, query: Query, banks: Collection[str]
) -> dict[str, list[dict[str, object]]]:
    """The matches of the type `signal_type` by bank (no `banks`: all), nearest first; HMA's distances are strings."""
    by_bank: dict[str, list[dict[str, object]]] = {}
    of_type = [hit for hit in hits if _is_of_type(hit.match, signal_type)]
    if signal_type not in (VPDQ, *_ALL_EXACT):
        of_type.sort(key=lambda hit: hit.match.distance.get(Algorithm(signal_type)) or 0)
    for bank, match in of_type:
        if not banks or bank in banks:
            by_bank.setdefault(bank, []).append(_hit(match, signal_type, query))
    return by_bank


def raw_out(hits: Iterable[BankHit], signal_type: str, query: Query, params: LookupQuery) -> dict[str, object]:
    """The matches of the type `signal_type` in one list."""
    matches = [match for bank, match in hits if not params.banks or bank in params.banks]
    if params.include_distance:
        return {"matches": [_hit(match, signal_type, query) for match in matches]}
    return {"matches": [match.contribution for match in matches]}


def _is_of_type(match: Match, signal_type: str) -> bool:
    """Whether the signal of this type found the match. A file with the same SHA-256 has the same MD5."""
    if signal_type == VPDQ:
        return bool(match.segments or match.frames)
    if signal_type == PASSAGES:
        return bool(match.segments) or Algorithm.SIMHASH256 in match.distance
    if signal_type in _ALL_EXACT:
        wanted = _ALL_EXACT[signal_type]
        return match.digest is wanted or (wanted is Algorithm.MD5 and match.digest is Algorithm.SHA256)
    return Algorithm(signal_type) in match.distance


def _hit(match: Match, signal_type: str, query: Query) -> dict[str, object]:
    hit: dict[str, object] = {"bank_content_id": match.contribution}
    if signal_type in _ALL_EXACT:
        return hit | {"distance": _NO_DISTANCE}
    # A key that hides distances gets no such field: a client would take any number for the distance.
    if None in match.distance.values():
        return hit
    in_parts = signal_type == VPDQ or (signal_type == PASSAGES and bool(query.frames))
    return hit | {"distance": _shares(match, query) if in_parts else str(match.distance[Algorithm(signal_type)])}


def _shares(match: Match, query: Query) -> str:
    """The shares of the query and of the content that match, as HMA writes them for vPDQ."""
    if match.covered is not None:
        return f"{match.covered.query:.0%}[{match.covered.listed:.0%}]"
    return f"{len(match.frames) / len(query.frames):.0%}[100%]"


def compared_out(pairs: Mapping[str, tuple[Signal, Signal]]) -> dict[str, object]:
    """By type: whether the signals of the pair match, and their distance, here as a number; digests have none."""
    compared: dict[str, object] = {}
    for name, (first, second) in pairs.items():
        distance = first.distance(second)
        compared[name] = [distance <= first.algorithm.radius, {} if name in _ALL_EXACT else {"distance": distance}]
    return compared


def index_out(sizes: Mapping[str, int], built_to: int) -> dict[str, object]:
    """The size of the index of each type, and up to which time (Unix seconds) it is built."""
    return {name: {"built_to": built_to, "present": True, "size": size} for name, size in sizes.items()}


def database_out(sizes: Mapping[str, int], built_to: int) -> dict[str, object]:
    """The answer of `index_out` in the form of HMA's curator; the index is never behind the database."""
    return {
        name: {
            "db_size": size,
            "index_size": size,
            "index_out_of_date": False,
            "newest_db_item": built_to,
            "index_built_to": built_to,
        }
        for name, size in sizes.items()
    }


def bank_out(name: str) -> dict[str, object]:
    """A bank; all of its contents match."""
    return {"name": name, "matching_enabled_ratio": 1.0}


def added_out(contribution: Contribution, frames: Sequence[Frame]) -> dict[str, object]:
    """A content that was added to a bank, and the frames of its video."""
    return {"id": contribution.id, "signals": _signals(contribution, frames)}


def content_out(
    contribution: Contribution, bank: str, query: ContentQuery, frames: Sequence[Frame] = ()
) -> dict[str, object]:
    """A contribution as a content of a bank, with the frames of its video."""
    matches = contribution.status is Status.ACTIVE and contribution.standing.matches
    content: dict[str, object] = {
        "id": contribution.id,
        "disable_until_ts": 1 if matches else 0,
        "original_media_uri": None,
        "bank": bank_out(bank),
        "note": None,
    }
    if query.include_signals:
        content["signals"] = _signals(contribution, frames)
    if query.include_metadata:
        content["metadata"] = {
            "collab": None,
            "content_id": contribution.reference,
            "content_uri": None,
            "json": {
                "labels": list(contribution.labels),
                "severity": contribution.severity,
                "status": contribution.status,
                "standing": contribution.standing,
            },
        }
    return content


def _signals(contribution: Contribution, frames: Sequence[Frame]) -> dict[str, str]:
    """The first signal of each type, which is that of the item itself; vPDQ is of the frames."""
    names = _VIDEO_DIGEST_NAMES if contribution.media is Media.VIDEO else {}
    signals = {
        names.get(signal.algorithm, str(signal.algorithm)): digits_of(signal)
        for signal in reversed(contribution.signals)
    }
    units = {frame.unit for frame in frames}
    return (
        signals
        | ({VPDQ: vpdq_json(frames)} if Unit.SECONDS in units else {})
        | ({PASSAGES: passages_text(frames)} if Unit.WORDS in units else {})
    )


def faults_out(error: InvalidInput) -> list[dict[str, object]]:
    """The faults of a request in the form of HMA."""
    return [{"type": "value_error", "loc": [fault.at], "msg": fault.reason} for fault in error.faults]
