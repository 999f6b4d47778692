"""Conversions between wire models and domain values, derived once for each class from the names of the fields.

    class IncidentOut(ResponseModel, Mirror[Incident]): ...

    IncidentOut.from_domain(incident).to_domain() == incident

A field takes the attribute of the same name, or the one that `MappedTo` gives. The types of both decide the conversion:
a nested model converts itself, a tuple or a set becomes a list, a mapping becomes a dict, octets become hex, and a
number or a day becomes a string if the field is one. Everything else is unchanged: pydantic serializes times, signals
and enums.
If these rules do not fit, a model overrides `from_domain` or `fields_from`, and `to_domain` or `arguments`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from inspect import signature
from operator import attrgetter
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, Self, TypeVar, Union, cast, get_args, get_origin
from typing import get_type_hints as type_hints

from pydantic import BaseModel

from hashdb.domain.contributions import Unset

_Domain = TypeVar("_Domain")
_Model = TypeVar("_Model", bound="BaseModel | FromDomain[Any]")
_Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class MappedTo:
    """In the annotation of a field: the path of the attribute in the domain value, like `message.id`."""

    path: str


class _Mark(Enum):
    OMIT_DEFAULT = auto()
    DISTINCT = auto()


OMIT_DEFAULT = _Mark.OMIT_DEFAULT
"""In the annotation of a field: it is left out if it has its default."""
DISTINCT = _Mark.DISTINCT
"""In the annotation of a list: duplicates are removed in the domain value."""


class _Plan(NamedTuple):
    """How to compute the fields of a model, and the arguments of the domain class."""

    fields: Sequence[str]
    """The names of the fields."""
    get_attributes: Callable[[Any], Iterable[Any]]
    """Returns the attributes of the domain value for these fields."""
    to_field: Mapping[str, _Convert]
    """The conversion of the attribute of each field."""
    omitted_if: Mapping[str, Any]
    """The default of each field marked OMIT_DEFAULT."""
    field_of: Mapping[str, str]
    """The field of each argument."""
    to_argument: Mapping[str, _Convert]
    """The conversion of the field of each argument."""


class FromDomain(Generic[_Domain]):
    """Base of a model that is made from a domain value."""

    __slots__ = ()
    __domain__: ClassVar[type]
    __plan__: ClassVar[_Plan]

    @classmethod
    def from_domain(cls, value: _Domain) -> Self:
        """The model of a domain value."""
        return construct(cls, cls.fields_from(value))

    @classmethod
    def fields_from(cls, value: _Domain) -> dict[str, Any]:
        """The fields of the model, by name."""
        plan = cls.__plan__
        fields = dict(zip(plan.fields, plan.get_attributes(value), strict=False))
        for name, convert in plan.to_field.items():
            fields[name] = convert(fields[name])
        for name, default in plan.omitted_if.items():
            if fields[name] == default:
                del fields[name]
        return fields

    def arguments(self) -> dict[str, Any]:
        """The arguments of the domain class, by name."""
        plan, fields = type(self).__plan__, self.__dict__
        arguments = {argument: fields[name] for argument, name in plan.field_of.items()}
        for argument, convert in plan.to_argument.items():
            arguments[argument] = convert(arguments[argument])
        return arguments


class Mirror(FromDomain[_Domain]):
    """Base of a model that is made from a domain value and converts back to it."""

    __slots__ = ()

    def to_domain(self) -> _Domain:
        """The domain value."""
        value: _Domain = type(self).__domain__(**self.arguments())
        return value


class ChangeMirror(Mirror[_Domain]):
    """Base of a model that has only the fields that change; in the domain the other fields have their defaults."""

    __slots__ = ()

    @classmethod
    def fields_from(cls, value: _Domain) -> dict[str, Any]:
        defaults = {field.name: field.default for field in dataclasses.fields(cls.__domain__)}
        unchanged = {name for path, name in cls.__plan__.field_of.items() if getattr(value, path) is defaults[path]}
        return {name: field for name, field in super().fields_from(value).items() if name not in unchanged}

    def arguments(self) -> dict[str, Any]:
        plan, sent = type(self).__plan__, cast(BaseModel, self).model_fields_set
        return {argument: value for argument, value in super().arguments().items() if plan.field_of[argument] in sent}


def construct(model: type[_Model], fields: Mapping[str, Any]) -> _Model:
    """A model of these fields, which are not validated: as `model_construct`, in a fifth of the time.

    The other fields have their defaults. Models share the default values, because models are frozen.
    """
    instance = model.__new__(model)
    _set(instance, "__dict__", {**_DEFAULTS[model], **fields})
    _set(instance, "__pydantic_fields_set__", set(fields))
    _set(instance, "__pydantic_extra__", None)
    _set(instance, "__pydantic_private__", None)
    return instance


_set = object.__setattr__
_DEFAULTS: dict[type, Mapping[str, Any]] = {}
"""The fields of each model in order, with their defaults."""


def derive(model: type[BaseModel]) -> None:
    """Derive the defaults of a model, and its conversions if it has some.

    Raises TypeError if a conversion is neither overridden nor can be derived.
    """
    _DEFAULTS[model] = {
        name: None if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
    }
    if not issubclass(model, FromDomain):
        return
    bases = [base for base in model.__dict__.get("__orig_bases__", ()) if _is_conversion(get_origin(base))]
    if bases:
        model.__domain__ = get_args(bases[0])[0]
    domain = model.__domain__
    model.__plan__ = _plan(model, domain)
    if bases and _missing(model, domain):
        raise TypeError(f"{model.__name__} and {domain.__name__} differ in {', '.join(_missing(model, domain))}")


def _is_conversion(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, FromDomain)


def _missing(model: type[Any], domain: type) -> list[str]:
    """The names of required fields and arguments for which no value can be derived."""
    plan: _Plan = model.__plan__
    missing = []
    if _is_derived(model, "from_domain") and _is_derived(model, "fields_from"):
        required = [name for name, field in model.model_fields.items() if field.is_required()]
        missing += [name for name in required if name not in plan.fields]
    if issubclass(model, Mirror) and _is_derived(model, "to_domain") and _is_derived(model, "arguments"):
        for name, parameter in signature(domain).parameters.items():
            if parameter.default is parameter.empty and name not in plan.field_of:
                missing.append(name)
    return missing


def _is_derived(model: type, method: str) -> bool:
    """Whether the method of the model is that of FromDomain or Mirror."""
    return next(base for base in model.__mro__ if method in vars(base)) in (FromDomain, Mirror)


def _plan(model: type[BaseModel], domain: type) -> _Plan:
    """The plan of a model of this domain class, from the names and the types of both."""
    hints = type_hints(domain)
    paths: dict[str, str] = {}
    to_field: dict[str, _Convert] = {}
    omitted_if: dict[str, Any] = {}
    field_of: dict[str, str] = {}
    to_argument: dict[str, _Convert] = {}
    for name, field in model.model_fields.items():
        path = next((item.path for item in field.metadata if isinstance(item, MappedTo)), name)
        if path not in hints and not hasattr(domain, path.partition(".")[0]):
            continue
        into, back = _converters(field.annotation, hints.get(path, Any))
        paths[name] = path
        if into is not None:
            to_field[name] = into
        if DISTINCT in field.metadata:
            back = _distinct
        if path in hints:
            field_of[path] = name
            if back is not None:
                to_argument[path] = back
        if OMIT_DEFAULT in field.metadata:
            omitted_if[name] = field.get_default()
    # attrgetter returns a tuple only for two attributes or more; zip ignores the attributes without a name.
    attributes = [*paths.values(), *["__class__"] * (2 - len(paths))]
    return _Plan(tuple(paths), attrgetter(*attributes), to_field, omitted_if, field_of, to_argument)


def _converters(field: Any, value: Any) -> tuple[_Convert | None, _Convert | None]:
    """The conversions from a value of type `value` to a field of type `field`, and back; None: it is unchanged."""
    field, value = _bare(field), _bare(value)
    kind, field_parts, value_parts = get_origin(field), get_args(field), get_args(value)
    if isinstance(field, type) and issubclass(field, FromDomain):
        return _unless_none(field.from_domain), _unless_none(field.to_domain if issubclass(field, Mirror) else None)
    if kind is list:
        into, back = _converters(field_parts[0], value_parts[0] if value_parts else Any)
        gather: _Convert = frozenset if get_origin(value) is frozenset else tuple
        order: _Convert = sorted if gather is frozenset else list
        return _unless_none(_each(order, into)), _unless_none(_each(gather, back))
    if kind is dict:
        (key_into, key_back), (item_into, item_back) = map(_converters, field_parts, value_parts or (Any, Any))
        return _items(key_into, item_into, dict), _items(key_back, item_back, None)
    if field is str and value is bytes:
        return _unless_none(bytes.hex), _unless_none(bytes.fromhex)
    if field is str and (parse := getattr(value, "parse", None) or _PARSERS.get(value)):
        return str, parse
    return None, None


_PARSERS: Mapping[Any, _Convert] = {int: int, date: date.fromisoformat}
"""The inverse of `str` for classes without a `parse`."""


def _bare(kind: Any) -> Any:
    """A type without its annotations, and without None and Unset."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        others = [part for part in get_args(kind) if part not in (NoneType, Unset)]
        return _bare(others[0]) if len(others) == 1 else kind
    return kind


def _unless_none(convert: _Convert | None) -> _Convert | None:
    """The same conversion, which leaves None as it is; None if there is no conversion."""
    return convert and (lambda value: None if value is None else convert(value))


def _each(gather: _Convert, convert: _Convert | None) -> _Convert:
    """The conversion of a collection: of each value by `convert`, and of all of them by `gather`, such as `tuple`."""
    return gather if convert is None else lambda values: gather([convert(value) for value in values])


def _items(key: _Convert | None, value: _Convert | None, plain: _Convert | None) -> _Convert | None:
    """The conversion of a mapping with these of its keys and values; `plain` if neither is converted."""
    if key is None and value is None:
        return plain
    first, second = key or _same, value or _same
    return lambda items: {first(name): second(item) for name, item in items.items()}


def _distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


def _same(value: Any) -> Any:
    return value
