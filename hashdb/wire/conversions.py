"""Conversions between a model of the wire and a value of the domain, derived once a class from the names of fields.

    class IncidentOut(Answered, Mirror[Incident]): ...

    IncidentOut.from_domain(incident).to_domain() == incident

A field takes the attribute of the same name, or the one that `Named` gives. Its annotation and that of the attribute
tell how the value is converted: a nested model converts itself, a tuple or a set becomes a list, a mapping becomes a
dict, and a number or a day becomes a string where the field is one. Everything else stays as it is: pydantic writes
times, signals and enums.
Where these rules do not fit, a model overrides `from_domain` or `fields_from`, and `to_domain` or `arguments`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from datetime import date
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
class Named:
    """In the annotation of a field: the attribute of the domain's value that it tells, maybe of a part of it."""

    path: str


class _Sparse:
    """The type of `SPARSE`."""


SPARSE = _Sparse()
"""In the annotation of a field: it is left out where it has its default."""


class _Distinct:
    """The type of `DISTINCT`."""


DISTINCT = _Distinct()
"""In the annotation of a list: what it holds twice counts once in the domain."""


class _Plan(NamedTuple):
    """How to make the fields of a model, by name, and the arguments of the domain's class."""

    names: Sequence[str]
    get: Callable[[Any], Iterable[Any]]
    reads: Mapping[str, _Convert]
    sparse: Mapping[str, Any]
    writes: Mapping[str, str]
    backs: Mapping[str, _Convert]


class FromDomain(Generic[_Domain]):
    """Of a model: how it is made of a value of the domain."""

    __slots__ = ()
    __domain__: ClassVar[type]
    __plan__: ClassVar[_Plan]

    @classmethod
    def from_domain(cls, value: _Domain) -> Self:
        """The model of a value."""
        return construct(cls, cls.fields_from(value))

    @classmethod
    def fields_from(cls, value: _Domain) -> dict[str, Any]:
        """The fields of the model that the value tells."""
        plan = cls.__plan__
        fields = dict(zip(plan.names, plan.get(value), strict=False))
        for name, convert in plan.reads.items():
            fields[name] = convert(fields[name])
        for name, default in plan.sparse.items():
            if fields[name] == default:
                del fields[name]
        return fields

    def arguments(self) -> dict[str, Any]:
        """The arguments of the domain's class that the model tells."""
        plan, held = type(self).__plan__, self.__dict__
        found = {argument: held[name] for argument, name in plan.writes.items()}
        for argument, convert in plan.backs.items():
            found[argument] = convert(found[argument])
        return found


class Mirror(FromDomain[_Domain]):
    """Of a model: how it is made of a value of the domain, and the value of it."""

    __slots__ = ()

    def to_domain(self) -> _Domain:
        """The value that the model tells."""
        value: _Domain = type(self).__domain__(**self.arguments())
        return value


class ChangeMirror(Mirror[_Domain]):
    """Of a model of a change, which tells what changes only: in the domain the other fields have their defaults."""

    __slots__ = ()

    @classmethod
    def fields_from(cls, value: _Domain) -> dict[str, Any]:
        unsent = {field.name: field.default for field in dataclasses.fields(cls.__domain__)}
        kept = {name for path, name in cls.__plan__.writes.items() if getattr(value, path) is unsent[path]}
        return {name: told for name, told in super().fields_from(value).items() if name not in kept}

    def arguments(self) -> dict[str, Any]:
        plan, sent = type(self).__plan__, cast(BaseModel, self).model_fields_set
        return {argument: value for argument, value in super().arguments().items() if plan.writes[argument] in sent}


def construct(model: type[_Model], fields: Mapping[str, Any]) -> _Model:
    """A model of fields that are known to be right, as `model_construct` makes it, in a fifth of the time.

    The others have their defaults, which are shared: nobody changes a model.
    """
    made = model.__new__(model)
    _set(made, "__dict__", {**_BLANKS[model], **fields})
    _set(made, "__pydantic_fields_set__", set(fields))
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made


_set = object.__setattr__
_BLANKS: dict[type, Mapping[str, Any]] = {}
"""The fields of each model in order, with their defaults."""


def derive(model: type[BaseModel]) -> None:
    """Work out the defaults of a model, and its conversions if it has some.

    Raises TypeError where a conversion is neither written out nor can be derived.
    """
    _BLANKS[model] = {
        name: None if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
    }
    if not issubclass(model, FromDomain):
        return
    named = [base for base in model.__dict__.get("__orig_bases__", ()) if _is_conversion(get_origin(base))]
    if named:
        model.__domain__ = get_args(named[0])[0]
    domain = model.__domain__
    model.__plan__ = _plan(model, domain)
    if named and _missing(model, domain):
        raise TypeError(f"{model.__name__} and {domain.__name__} differ in {', '.join(_missing(model, domain))}")


def _is_conversion(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, FromDomain)


def _missing(model: type[Any], domain: type) -> list[str]:
    """What has no counterpart at the other side, of the conversions that are derived."""
    plan: _Plan = model.__plan__
    found = []
    if _is_derived(model, "from_domain") and _is_derived(model, "fields_from"):
        found += [name for name, field in model.model_fields.items() if field.is_required() and name not in plan.names]
    if issubclass(model, Mirror) and _is_derived(model, "to_domain") and _is_derived(model, "arguments"):
        found += [one.name for one in dataclasses.fields(domain) if _is_needed(one) and one.name not in plan.writes]
    return found


def _is_derived(model: type, method: str) -> bool:
    return next(base for base in model.__mro__ if method in vars(base)) in (FromDomain, Mirror)


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _plan(model: type[BaseModel], domain: type) -> _Plan:
    hints = type_hints(domain)
    paths: dict[str, str] = {}
    reads: dict[str, _Convert] = {}
    sparse: dict[str, Any] = {}
    writes: dict[str, str] = {}
    backs: dict[str, _Convert] = {}
    for name, field in model.model_fields.items():
        path = next((one.path for one in field.metadata if isinstance(one, Named)), name)
        if path not in hints and not hasattr(domain, path.partition(".")[0]):
            continue
        into, back = _converters(field.annotation, hints.get(path, Any))
        paths[name] = path
        if into is not None:
            reads[name] = into
        if DISTINCT in field.metadata:
            back = _distinct
        if path in hints:
            writes[path] = name
            if back is not None:
                backs[path] = back
        if SPARSE in field.metadata:
            sparse[name] = field.get_default()
    # Of fewer than two attributes, attrgetter gives no tuple; zip leaves out what no name stands for.
    wanted = [*paths.values(), *["__class__"] * (2 - len(paths))]
    return _Plan(tuple(paths), attrgetter(*wanted), reads, sparse, writes, backs)


def _converters(told: Any, held: Any) -> tuple[_Convert | None, _Convert | None]:
    """What makes a field of the type `told` of a value of the type `held`, and back; None: it stays as it is."""
    told, held = _bare(told), _bare(held)
    kind, parts, others = get_origin(told), get_args(told), get_args(held)
    if isinstance(told, type) and issubclass(told, FromDomain):
        return _unless_none(told.from_domain), _unless_none(told.to_domain if issubclass(told, Mirror) else None)
    if kind is list:
        into, back = _converters(parts[0], others[0] if others else Any)
        gather: _Convert = frozenset if get_origin(held) is frozenset else tuple
        order: _Convert = sorted if gather is frozenset else list
        return _unless_none(_each(order, into)), _unless_none(_each(gather, back))
    if kind is dict:
        pairs = [_converters(one, other) for one, other in zip(parts, others or (Any, Any), strict=True)]
        return _items(pairs[0][0], pairs[1][0], dict), _items(pairs[0][1], pairs[1][1], None)
    if told is str and (read := getattr(held, "parse", None) or _READ.get(held)):
        return str, read
    return None, None


_READ: Mapping[Any, _Convert] = {int: int, date: date.fromisoformat}
"""What reads a string that `str` made of a value, where its class has no `parse`."""


def _bare(kind: Any) -> Any:
    """A type without what is annotated to it, and without None and the mark of what stays."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        others = [one for one in get_args(kind) if one not in (NoneType, Unset)]
        return _bare(others[0]) if len(others) == 1 else kind
    return kind


def _unless_none(convert: _Convert | None) -> _Convert | None:
    return convert and (lambda value: None if value is None else convert(value))


def _each(gather: _Convert, convert: _Convert | None) -> _Convert:
    return gather if convert is None else lambda values: gather([convert(value) for value in values])


def _items(key: _Convert | None, value: _Convert | None, plain: _Convert | None) -> _Convert | None:
    if key is None and value is None:
        return plain
    first, second = key or _same, value or _same
    return lambda items: {first(name): second(one) for name, one in items.items()}


def _distinct(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


def _same(value: Any) -> Any:
    return value
