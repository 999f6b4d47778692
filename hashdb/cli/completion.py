"""Completion: the declarations of a command are read without importing what the command works with.

The shell starts a process for each press of the Tab key, which prints the words that may follow and ends. It runs no
command, so it does not need NumPy, httpx, SQLAlchemy and most of hashdb.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Self

_DECLARING = frozenset({"__main__", "cli", "domain", "errors"})
"""The modules of hashdb that declare commands; of other packages, only click does."""


class _Absent(ModuleType):
    """Stands for a module that is not loaded, and for all that is imported from it."""

    def __getattr__(self, name: str) -> Self:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(self)(name)

    def __call__(self, *arguments: object, **named: object) -> Self:
        return self

    def __getitem__(self, key: object) -> Self:
        return self

    def __or__(self, other: object) -> Self:
        return self

    __ror__ = __or__

    def __iter__(self) -> Iterator[Self]:
        return iter(())

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        return ()


class _AbsentFinder(MetaPathFinder, Loader):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        package, _, inner = name.partition(".")
        if package == "hashdb":
            is_loaded = not inner or inner.partition(".")[0] in _DECLARING
        else:
            is_loaded = package == "click" or package in sys.stdlib_module_names
        return None if is_loaded else ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


def import_declarations_only() -> None:
    """From now on, import only what declares commands. The process can run none of them any more."""
    sys.meta_path.insert(0, _AbsentFinder())
