"""Values and JSON: the pydantic models of the wire, the only place that spells field names.

Requests refuse unknown fields by name; answers may gain fields, so a reader ignores those it does not know.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from hashdb.domain.rules import FAULTS_TOLD, Rules
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.times import format_instant, parse_instant
from hashdb.errors import Fault, InvalidInput, MalformedRequest, TooLarge
from hashdb.wire.conversions import construct, derive

LARGEST_ID = 2**53 - 1
VALUES = 500_000
"""Values of a request, at most. The largest that is taken, a thousand items of 64 signals, has a fifth of it."""
KEYS = 20_000
"""Names of fields, at most: each unknown one is a fault to report. A thousand items with all fields have 14,001."""


@dataclass(frozen=True, slots=True)
class ValidationContext:
    """What a request is checked against while it is read: the rules in force, and the time.

    Of what is `imported`, it may be unknown when it was removed, and of what quality it is.
    """

    rules: Rules
    now: datetime
    imported: bool = False
    touched: Callable[[Collection[Signal]], Collection[Signal]] | None = None
    """Those of some signals that are close to a benign one; asked where a request is refused for something else, too,
    to tell all that is wrong with it."""


class _Derived(BaseModel):
    """The base of all models of bodies: conversions are derived when a class is made."""

    model_config = ConfigDict(strict=True, frozen=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        derive(cls)

    @classmethod
    def made(cls, **fields: Any) -> Self:
        """The model of fields that are known to be right; the others have their defaults."""
        return construct(cls, fields)


class Sent(_Derived):
    """The base of what a client sends."""

    model_config = ConfigDict(extra="forbid")


class Answered(_Derived):
    """The base of what the service answers; fields that are not set are not written."""

    model_config = ConfigDict(extra="ignore")

    def json_text(self) -> str:
        """The JSON text of what is set."""
        return self.model_dump_json(exclude_unset=True)


_Model = TypeVar("_Model", bound=BaseModel)


def read(model: type[_Model], text: str | bytes, terms: ValidationContext | None = None) -> _Model:
    """What a JSON text says, as a model. Raises MalformedRequest (no JSON), InvalidInput with every fault, TooLarge."""
    require_few(text)
    try:
        return model.model_validate_json(text, context=terms)
    except ValidationError as error:
        raise refusal(error, text) from None


_STRING = rb'"(?:[^"\\]++|\\.)*+"\s*+'
_TO_NEXT_KEY = re.compile(rb'(?:[^"]++|' + _STRING + rb"(?!:))*+" + _STRING + rb":", re.DOTALL)


def require_few(text: str | bytes, values: int = VALUES, keys: int = KEYS) -> None:
    """Raise TooLarge for a JSON text of more values or names of fields than any request that is taken.

    It is checked before the text is parsed: parsed, it is many times as large as it is written.
    """
    octets = text.encode("utf-8", "replace") if isinstance(text, str) else text
    # Counting a byte costs next to nothing; within strings, too, so that these are bounds and not numbers.
    if octets.count(b",") + octets.count(b"[") + octets.count(b"{") > values:
        raise TooLarge("a request here, in values,", values)
    if octets.count(b":") <= keys:
        return
    found, position = 0, 0
    while match := _TO_NEXT_KEY.match(octets, position):
        found, position = found + 1, match.end()
        if found > keys:
            raise TooLarge("a request here, in names of fields,", keys)


def refusal(
    error: ValidationError,
    text: str | bytes | None = None,
    *,
    more: Iterable[Fault] = (),
    within: Sequence[int | str] = (),
) -> MalformedRequest | InvalidInput:
    """Pydantic's error about a JSON text (if it was one), and further faults, in our words; all `within` a part."""
    found = error.errors(include_url=False, include_input=False)
    if found[0]["type"] == "json_invalid" or (text is not None and not _is_json(text)):
        return MalformedRequest(f"the {within[0] if within else 'body'} is not JSON in UTF-8")
    return refused([*(Fault(path((*within, *one["loc"])), _told(_reason(one))) for one in found), *more])


def refused(faults: Sequence[Fault]) -> InvalidInput:
    """The error that tells of the first thousand faults and counts the others."""
    return InvalidInput(tuple(faults[:FAULTS_TOLD]), max(0, len(faults) - FAULTS_TOLD))


def path(parts: Iterable[int | str]) -> str:
    """Where a fault is: ("contributions", 3, "signals", 0) is `contributions[3].signals[0]`.

    Names come from whoever sent them: long ones are cut, and a hash in one is not repeated.
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_name(part)}" for part in parts if part != "[key]")
    return text.removeprefix(".")


def _name(part: str) -> str:
    told = _told(part)
    return told if len(told) <= _NAME_TOLD else f"{told[:_NAME_TOLD]}…"


def _told(text: str) -> str:
    """A text without the hashes that somebody put in a wrong place: errors end in logs."""
    return _HASH.sub("…", text)


def _is_json(text: str | bytes) -> bool:
    """Whether a text that pydantic read is JSON by RFC 8259, which has no NaN and no Infinity."""
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> None:
    raise ValueError(constant)


_NAME_TOLD = 64
_HASH = re.compile(r"[0-9A-Fa-f]{16,}")


_REASONS = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "list_type": "takes a list",
    "string_type": "takes a string",
    "int_type": "takes a whole number",
    "int_parsing": "takes a whole number",
    "model_type": "takes an object",
    "dict_type": "takes an object",
    "bool_type": "takes true or false",
    "bool_parsing": "takes true or false",
}


def _reason(error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return str(context["error"])
    if kind in ("too_long", "too_short"):
        limit = context.get("max_length", context.get("min_length"))
        return f"takes at {'most' if kind == 'too_long' else 'least'} {limit:,} entries"
    if kind in ("string_too_long", "string_too_short"):
        limit = context.get("max_length", context.get("min_length"))
        return f"takes at {'most' if kind == 'string_too_long' else 'least'} {limit:,} characters"
    if kind in ("less_than_equal", "greater_than_equal"):
        return f"is at most {context['le']}" if "le" in context else f"is at least {context['ge']}"
    if kind == "enum":
        return f"is one of {context['expected']}"
    fallback: str = error["msg"]
    return _REASONS.get(kind, fallback[:1].lower() + fallback[1:])


def _parse(parser: Callable[[str], Any]) -> PlainValidator:
    def validate(value: object) -> object:
        if not isinstance(value, str):
            raise ValueError("takes a string")
        return parser(value)

    return PlainValidator(validate)


def _proper(text: str) -> str:
    if text != text.strip() or text.isdecimal():
        raise ValueError("takes a name that is no number, without spaces around it")
    return _plain(text)


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("takes printable characters only")
    return text


def _lines(text: str) -> str:
    _no_controls(text.replace("\n", "").replace("\r", "").replace("\t", ""))
    return text


def _no_controls(text: str) -> str:
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("takes no control characters")
    return text


_SIGNAL_SCHEMA = {
    "type": "string",
    "pattern": f"^({'|'.join(f'{algorithm}:[0-9a-f]{{{algorithm.bits // 4}}}' for algorithm in Algorithm)})$",
    "examples": ["phash:d1c4b2a09f8e7d6c"],
}
SignalText = Annotated[
    Signal, _parse(Signal.parse), PlainSerializer(str, return_type=str), WithJsonSchema(_SIGNAL_SCHEMA)
]
Moment = Annotated[
    datetime,
    _parse(parse_instant),
    PlainSerializer(format_instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Opaque = Annotated[str, StringConstraints(max_length=200)]
"""What only its sender understands; it comes back as it was sent."""
Line = Annotated[Opaque, AfterValidator(_no_controls)]
Note = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_lines)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_proper)]
Token = Annotated[str, StringConstraints(max_length=80), AfterValidator(_plain)]


UNSENT: Any = Field(default_factory=lambda: None)
"""The default of a field of a change: it may be left out, and null is refused."""


def checked_by(rule: Callable[[ValidationContext, Any], str | None]) -> AfterValidator:
    """A validator that asks the rules in force; where there are none (at the member's side) all is well."""

    def validate(value: Any, info: ValidationInfo) -> Any:
        if isinstance(info.context, ValidationContext) and (reason := rule(info.context, value)):
            raise ValueError(reason)
        return value

    return AfterValidator(validate)
