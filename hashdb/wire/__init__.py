"""The base of the pydantic models that convert values to JSON and back; only `wire` knows the names of JSON fields.

A request with an unknown field is refused, and the error names the field. A response may gain fields: a reader ignores
those that it does not know.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, get_args

import pydantic_core
from annotated_types import Ge, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from hashdb.domain.frames import FRAMES_A_REQUEST
from hashdb.domain.rules import DRAFTS_A_REQUEST, Rules
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Kind, Signature
from hashdb.domain.times import format_instant, parse_instant
from hashdb.errors import TooLarge
from hashdb.wire.conversions import Mirror, construct, derive
from hashdb.wire.faults import error_from_validation

if TYPE_CHECKING:
    from hashdb.wire import accounts as accounts
    from hashdb.wire import additions as additions
    from hashdb.wire import contributions as contributions
    from hashdb.wire import drafts as drafts
    from hashdb.wire import files as files
    from hashdb.wire import jobs as jobs
    from hashdb.wire import ledger as ledger
    from hashdb.wire import lookback as lookback
    from hashdb.wire import review as review
    from hashdb.wire.sharing import feed as feed
    from hashdb.wire.sharing import webhooks as webhooks
else:
    _LAZY = {"accounts", "additions", "contributions", "drafts", "files", "jobs", "ledger", "lookback", "review"}
    _LAZY_OF_SHARING = {"feed", "webhooks"}

    def __getattr__(name: str) -> ModuleType:
        """One of these modules, imported on first use: a command needs the models of few areas."""
        if name in _LAZY:
            return import_module(f"{__name__}.{name}")
        if name in _LAZY_OF_SHARING:
            return import_module(f"{__name__}.sharing.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


LARGEST_ID = 2**53 - 1  # The largest whole number that every reader of JSON reads exactly.
MAX_VALUES = 500_000
"""The most values in a request. The largest valid request, a thousand items of 64 signals, has a fifth of them."""
MAX_FIELD_NAMES = 20_000
"""The most field names in a request: each unknown one is a fault. A thousand items with all fields have 14,001."""
_VALUES_OF_FRAMES, _KEYS_OF_FRAMES = 3, 8
"""The factors of MAX_VALUES and MAX_FIELD_NAMES for a request with frames: it may have 20,000 of them.

Each frame may have 64 signals or transforms.
"""
OBJECTS_WITH_FRAMES = 3 * (FRAMES_A_REQUEST + DRAFTS_A_REQUEST)
"""The most objects in a request with frames: a frame or an item has two more within it at most."""


@dataclass(frozen=True, slots=True)
class ValidationContext:
    """What a request is validated against while it is parsed: the rules in force, and the time.

    An item that is `imported` may have no time of removal and no quality.
    """

    rules: Rules
    now: datetime
    imported: bool = False
    close_to_benign: Callable[[Collection[Signal]], Collection[Signal]] | None = None
    """Returns those of the signals that are near a benign entry; called for a refused request, to list all faults."""


class _Derived(BaseModel):
    """The base of all models of bodies; `conversions` derives `from_domain` and `to_domain` as the class is created.

    pydantic builds the validator of a model on first use: a command uses few of them.
    """

    model_config = ConfigDict(strict=True, frozen=True, defer_build=True)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        derive(cls)

    @classmethod
    def build(cls, **fields: Any) -> Self:
        """A model of these fields, which are not validated; the other fields have their defaults."""
        return construct(cls, fields)


class RequestModel(_Derived):
    """The base of request bodies."""

    model_config = ConfigDict(extra="forbid")


class ResponseModel(_Derived):
    """The base of response bodies; fields that are not set are not written."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    def json_text(self) -> str:
        """The JSON text of the fields that are set."""
        return self.model_dump_json(exclude_unset=True)


class PageModel(ResponseModel):
    """The base of pages: one list, and in `next` the cursor of the next page (null: this page is the last one)."""

    CURSOR: ClassVar[str] = "id"
    """The attribute of a row that is its cursor."""
    if TYPE_CHECKING:
        # At run time each model declares it, after its list.
        next: int | None

    @classmethod
    def from_rows(cls, rows: Sequence[Any], limit: int) -> Self:
        """The page of the first `limit` rows; `rows` has one more if there is a next page."""
        name, (item,) = cls._list(), get_args(cls.model_fields[cls._list()].annotation)
        page = rows[:limit]
        cursor = getattr(page[-1], cls.CURSOR) if len(rows) > limit else None
        return cls.build(**{name: [item.from_domain(row) for row in page]}, next=cursor)

    def rows(self) -> Iterator[Any]:
        """The domain values of the list."""
        return (item.to_domain() for item in getattr(self, self._list()))

    @classmethod
    def _list(cls) -> str:
        """The name of the field that is the list."""
        return next(iter(cls.model_fields))


_Model = TypeVar("_Model", bound=BaseModel)
_Value = TypeVar("_Value")


def read(model: type[_Model], text: str | bytes, context: ValidationContext | None = None) -> _Model:
    """The model of a JSON text. Raises MalformedRequest (no JSON), InvalidInput with every fault, TooLarge."""
    check_size(text)
    try:
        return model.model_validate_json(text, context=context)
    except ValidationError as error:
        raise error_from_validation(error, text) from None


def validate(model: type[Mirror[_Value]], value: _Value) -> _Value:
    """The value as `model` accepts it, with the checks of a request's body. Raises InvalidInput with every fault."""
    body: Any = model
    validated: _Value = read(body, body.from_domain(value).model_dump_json()).to_domain()
    return validated


def to_json(fields: Mapping[str, object]) -> str | bytes:
    """The JSON text of fields, for `read`. It is made by pydantic, in a fourth of the time that `json` takes."""
    try:
        return pydantic_core.to_json(fields)
    except ValueError:
        # JSON may have a lone surrogate: `json` writes it as an escape, which `read` refuses.
        return json.dumps(fields)


# A string of JSON with the whitespace behind it; and everything up to the end of the next name of a field, with its
# colon. Both match without backtracking, because the text comes from a client.
_STRING = rb'"(?:[^"\\]++|\\.)*+"\s*+'
_TO_NEXT_KEY = re.compile(rb'(?:[^"]++|' + _STRING + rb"(?!:))*+" + _STRING + rb":", re.DOTALL)


def check_size(text: str | bytes) -> None:
    """Raise TooLarge for a JSON text with more values or field names than any valid request has.

    This runs before the text is parsed, because the parsed form takes many times the memory of the text.
    """
    octets = text.encode("utf-8", "replace") if isinstance(text, str) else text
    values, keys = MAX_VALUES, MAX_FIELD_NAMES
    if b'"frames"' in octets:
        values, keys = _VALUES_OF_FRAMES * values, _KEYS_OF_FRAMES * keys
        if octets.count(b"{") > OBJECTS_WITH_FRAMES:
            raise TooLarge("the objects in a request with frames", OBJECTS_WITH_FRAMES)
    # Counting bytes is cheap. It also counts those within strings, so these are upper bounds.
    if octets.count(b",") + octets.count(b"[") + octets.count(b"{") > values:
        raise TooLarge("the values in a request", values)
    if octets.count(b":") <= keys:
        return
    count, position = 0, 0
    while match := _TO_NEXT_KEY.match(octets, position):
        count, position = count + 1, match.end()
        if count > keys:
            raise TooLarge("the field names in a request", keys)


def _parse(parser: Callable[[str], Any]) -> PlainValidator:
    """A validator of strings, whose value is what `parser` returns."""

    def validate(value: object) -> object:
        if not isinstance(value, str):
            raise ValueError("must be a string")
        return parser(value)

    return PlainValidator(validate)


def _check_name(text: str) -> str:
    if text != text.strip() or text.isdecimal():
        raise ValueError("must not be a number, nor begin or end with a space")
    return check_printable(text)


def check_printable(text: str) -> str:
    """The text, if it can be printed on one line. A validator."""
    if not text.isprintable():
        raise ValueError("must have printable characters only")
    return text


def one_of(choices: Collection[Any]) -> AfterValidator:
    """A validator of values that must be among these."""

    def validate(value: Any) -> Any:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(map(str, choices))}")
        return value

    return AfterValidator(validate)


def check_whole(value: Any) -> Any:
    """The text of a whole number in a query string or a form, which pydantic then reads. A validator."""
    if isinstance(value, str) and not (value.isascii() and value.isdecimal() and len(value) <= 16):
        raise ValueError("must be a whole number")
    return value


def _check_lines(text: str) -> str:
    _check_line(text.replace("\n", "").replace("\r", "").replace("\t", ""))
    return text


def _check_line(text: str) -> str:
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("must not have control characters")
    return text


_SIGNAL_SCHEMA = {
    "type": "string",
    "pattern": f"^({'|'.join(f'{algorithm}:[0-9a-f]{{{algorithm.bits // 4}}}' for algorithm in Algorithm)})$",
    "examples": ["phash:d1c4b2a09f8e7d6c"],
}
SignalText = Annotated[
    Signal, _parse(Signal.parse), PlainSerializer(str, return_type=str), WithJsonSchema(_SIGNAL_SCHEMA)
]
_SIGNATURE_SCHEMA = {
    "type": "string",
    "pattern": f"^({'|'.join(f'{kind}:[0-9a-f]{{{2 * kind.octets}}}' for kind in Kind)})$",
    "examples": [f"{Kind.COLOUR}:{'80' * Kind.COLOUR.octets}"],
}
SignatureText = Annotated[
    Signature, _parse(Signature.parse), PlainSerializer(str, return_type=str), WithJsonSchema(_SIGNATURE_SCHEMA)
]
SaltText = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]
HashText = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
"""SHA-256 in hex."""
Moment = Annotated[
    datetime,
    _parse(parse_instant),
    PlainSerializer(format_instant, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
WholeNumber = Annotated[int, Ge(0), Le(LARGEST_ID), BeforeValidator(check_whole)]
Next = Annotated[
    int | None, Field(description="Where the next page begins: send it as `after`. Null on the last page.")
]
Opaque = Annotated[str, StringConstraints(max_length=200)]
"""A value that only the client interprets; it is returned unchanged."""
Line = Annotated[Opaque, AfterValidator(_check_line)]
"""Free text on one line."""
Note = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_check_lines)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_check_name)]
ShortText = Annotated[str, StringConstraints(max_length=80), AfterValidator(check_printable)]

UNSENT: Any = Field(default_factory=lambda: None)
"""The default of a field of a change: the client may leave the field out, and null is refused."""


def checked_by(rule: Callable[[ValidationContext, Any], str | None]) -> AfterValidator:
    """A validator that applies `rule`, which returns why a value is invalid; without a context, all are valid."""

    def validate(value: Any, info: ValidationInfo) -> Any:
        if isinstance(info.context, ValidationContext) and (reason := rule(info.context, value)):
            raise ValueError(reason)
        return value

    return AfterValidator(validate)
