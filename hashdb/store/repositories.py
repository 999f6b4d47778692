"""A repository is the SQL of one noun within a transaction; a transaction makes each when it is first used."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from sqlalchemy import Connection


class Repository:
    """Reads and writes within the transaction of its connection."""

    def __init__(self, connection: Connection) -> None:
        """Over an open connection."""
        self._connection = connection


_R = TypeVar("_R", bound=Repository)


class repository(Generic[_R]):  # noqa: N801
    """An attribute of a transaction. functools.cached_property, of Python 3.11, has a lock that all threads share."""

    def __init__(self, made: type[_R]) -> None:
        """Of this class."""
        self._made = made

    def __set_name__(self, owner: type, name: str) -> None:
        """Note under which name it is found the next time."""
        self._name = name

    def __get__(self, transaction: Any, owner: type) -> _R:
        """The repository of this transaction."""
        made = transaction.__dict__[self._name] = self._made(transaction.connection)
        return made
