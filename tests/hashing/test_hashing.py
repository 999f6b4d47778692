"""A picture is read once and hashed by each requested algorithm."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from hashdb.domain.signals import OF_PICTURES, Algorithm
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Hashed, Limits, hash_file, hash_picture, warm
from hashdb.hashing.algorithms import imagehash_signal
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture
from tests.hashing.samples import draw_picture, encode_picture

OCTETS = encode_picture(draw_picture())


def _rejection(path: str | Path, limits: Limits | None = None) -> str:
    with pytest.raises(UnreadablePicture) as error:
        hash_file(path, [Algorithm.PDQ], limits or Limits())
    assert error.value.__context__ is None
    return str(error.value)


@pytest.mark.parametrize("algorithms", [OF_PICTURES, OF_PICTURES[::-1], (Algorithm.PHASH,), ()], ids=str)
def test_signals_are_returned_in_the_requested_order(algorithms: Sequence[Algorithm]) -> None:
    hashed = hash_picture(OCTETS, algorithms, Limits())
    assert tuple(signal.algorithm for signal in hashed.signals) == tuple(algorithms)


def test_each_signal_equals_the_hash_of_its_algorithm() -> None:
    picture = Picture(draw_picture())
    signal, quality = pdq(picture)
    assert hash_picture(OCTETS, [Algorithm.DHASH, Algorithm.PDQ], Limits()) == Hashed(
        (imagehash_signal(picture, Algorithm.DHASH), signal), quality
    )


def test_without_pdq_there_is_no_quality() -> None:
    assert hash_picture(OCTETS, [Algorithm.PHASH], Limits()).quality is None


def test_a_file_and_its_bytes_have_the_same_hashes(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(OCTETS)
    assert hash_file(str(path), OF_PICTURES, Limits()) == hash_picture(OCTETS, OF_PICTURES, Limits())


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    assert _rejection(tmp_path / "none.jpg") == "the file cannot be read: no such file or directory"


def test_a_folder_is_rejected(tmp_path: Path) -> None:
    assert _rejection(tmp_path) == "the file cannot be read: is a directory"


@pytest.mark.parametrize("path", [os.devnull, "/dev/zero"])
def test_a_device_is_rejected(path: str) -> None:
    assert _rejection(path) == "not a regular file"


def test_a_named_pipe_is_rejected_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert _rejection(tmp_path / "pipe") == "not a regular file"


def test_a_file_that_is_too_large_is_rejected_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 2**40)
    assert _rejection(path) == "the picture has more than 20000000 bytes"


def test_warming_loads_the_late_imports_and_not_scipy() -> None:
    loaded_modules = "[name for name in ('numpy.fft', 'pywt', 'scipy') if name in sys.modules]"
    program = (
        "import sys; from hashdb.domain.signals import OF_PICTURES; from hashdb.hashing import warm\n"
        f"early = {loaded_modules}; warm(OF_PICTURES); print(*early, *{loaded_modules})"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["numpy.fft", "pywt"]


def test_warming_twice_is_harmless() -> None:
    warm(())
    warm(OF_PICTURES)
