"""Pillow's warnings are quiet while any thread reads, and only they are."""

from __future__ import annotations

import warnings
from threading import Barrier, Thread

import pytest

from hashdb.hashing.pictures import IGNORING_WARNINGS


def test_other_warnings_are_still_heard() -> None:
    with IGNORING_WARNINGS, pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", stacklevel=1)


def test_the_filters_are_as_before_when_the_last_thread_has_left() -> None:
    before = list(warnings.filters)
    together = Barrier(4)

    def read(last: int) -> None:
        with IGNORING_WARNINGS:
            together.wait()
            warnings.warn_explicit("a warning of Pillow's", UserWarning, "Image.py", last, "PIL.Image")

    threads = [Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
