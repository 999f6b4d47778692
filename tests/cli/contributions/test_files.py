"""Lists as spreadsheets and databases write them, and files that are not lists."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.cli.contributions.files import Encoding, open_list

TEXT = "pdq,reference\r\naa,Café ✓\r\n"


def read(folder: Path, octets: bytes, encoding: str | None = None, hint: str = "") -> str:
    (file := folder / "list.csv").write_bytes(octets)
    with open_list(file, encoding, hint) as lines:
        return "".join(lines).removeprefix("\ufeff")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_sets_the_encoding(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path, TEXT.encode(encoding)) == TEXT
    assert read(tmp_path, TEXT.encode(encoding), None if encoding == "utf-8" else "latin-1") == TEXT


def test_without_a_byte_order_mark_the_encoding_must_be_given(tmp_path: Path) -> None:
    assert read(tmp_path, TEXT.replace("✓", "").encode("cp1252"), "cp1252") == TEXT.replace("✓", "")
    assert read(tmp_path, TEXT.encode("utf-16-le"), "utf-16-le") == TEXT
    with pytest.raises(click.UsageError, match=r"is not text in UTF-8: say which$"):
        read(tmp_path, TEXT.encode("utf-16-le"), hint=": say which")
    for encoding in ("utf-16", "utf-32"):
        with pytest.raises(click.UsageError, match=r"has no byte order mark: name the order of its bytes, like --enc"):
            read(tmp_path, TEXT.encode(f"{encoding}-le"), encoding)
    assert Encoding().convert("Windows-1252", None, None) == "cp1252"
    for name in ("utf-88", "rot13", "undefined", "idna", "punycode", "\0"):
        with pytest.raises(click.BadParameter, match="is not a text encoding"):
            Encoding().convert(name, None, None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-be"])
def test_invalid_bytes_become_a_lone_surrogate(tmp_path: Path, encoding: str) -> None:
    octets = {"utf-8": b"pdq\na\xe9b\n", "utf-16-be": "\ufeffpdq\na".encode("utf-16-be") + b"\xdc\x00\x00"}
    assert "\udcff" in read(tmp_path, octets[encoding])


@pytest.mark.parametrize("beginning", [b"PK\x03\x04", b"\x1f\x8b\x08", b"PAR1", b"SQLite format 3\0", b"a\0b"])
def test_a_file_that_is_not_text_is_rejected(tmp_path: Path, beginning: bytes) -> None:
    with pytest.raises(click.UsageError, match=r"list\.csv is "):
        read(tmp_path, beginning + b"x" * 50)


@given(octets=st.binary(max_size=200))
def test_any_bytes_are_read_or_rejected(tmp_path_factory: pytest.TempPathFactory, octets: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        text = read(folder, octets)
    except click.UsageError:
        return
    assert len(text) <= len(octets)
