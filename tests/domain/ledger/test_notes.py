"""Signed notes: the published example, and what is no note."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hashdb.domain.ledger.checkpoints import Signer, Verifier, is_key_name, read_note
from hashdb.errors import BadNote

VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
"""Of the documentation of Go's package note, as is NOTE."""
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
NOTE = f"{TEXT}\n\u2014 PeterNeumann {SIGNATURE}\n"
PETER = Verifier.parse(VKEY)


@pytest.fixture
def signer() -> Signer:
    """A new key."""
    return Signer("log.example/1", Ed25519PrivateKey.generate())


def test_the_published_example_verifies() -> None:
    assert str(PETER) == VKEY
    assert (PETER.name, PETER.id.hex()) == ("PeterNeumann", "c74f20a3")
    assert read_note(NOTE, [PETER]) == (TEXT, PETER)


def test_what_is_signed_is_read_by_its_key_among_others(signer: Signer) -> None:
    text = "log.example/1\n\nsecond part\n"
    note = signer.sign(text)
    assert note.startswith(f"{text}\n\u2014 log.example/1 ")
    assert read_note(note, [PETER, signer.verifier]) == (text, signer.verifier)
    assert Verifier.parse(str(signer.verifier)) == signer.verifier


def test_a_signature_of_an_unknown_key_beside_a_known_one_is_passed_over(signer: Signer) -> None:
    both = NOTE + signer.sign(TEXT).rpartition("\n\n")[2]
    assert read_note(both, [PETER]) == (TEXT, PETER)
    assert read_note(both, [signer.verifier]) == (TEXT, signer.verifier)
    with pytest.raises(BadNote, match="not signed by a key of this log"):
        read_note(both, [])


def test_one_bad_signature_of_a_known_key_spoils_the_note(signer: Signer) -> None:
    other = signer.sign("Another text\n").rpartition("\n\n")[2]
    with pytest.raises(BadNote, match="signature does not fit the text"):
        read_note(NOTE + other, [PETER, signer.verifier])


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        NOTE[:-1],
        NOTE.replace("cryptography", "steganography"),
        NOTE.replace("\n\n", "\n"),
        NOTE.replace("\u2014", "-"),
        NOTE.replace("PeterNeumann", "Peter Neumann"),
        NOTE.replace("x08go", "x08gp"),
        NOTE.replace("AM=", "AN="),
        NOTE.replace("AM=", "A*="),
        NOTE.replace("AM=", "ä="),
        NOTE.replace(SIGNATURE, "x08gow=="),
        NOTE.replace("then", "then\t"),
        "x" * 100_000 + NOTE,
    ],
)
def test_what_is_no_note_of_the_key_is_refused(note: str) -> None:
    with pytest.raises(BadNote):
        read_note(note, [PETER])


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "PeterNeumann",
        VKEY.replace("c74f20a3", "c74f20a4"),
        VKEY.replace("PeterNeumann", "Peter"),
        VKEY.replace("PeterNeumann", ""),
        VKEY.replace("+ARpc", "+AhpC"),
        VKEY[:-4],
        VKEY + "!",
        f"PeterNeumann+c74f20a3+{base64.b64encode(bytes([1]) * 33).decode()}",
    ],
)
def test_what_is_no_verifier_key_is_refused(vkey: str) -> None:
    with pytest.raises(BadNote):
        Verifier.parse(vkey)


def test_a_key_that_is_no_point_verifies_nothing() -> None:
    assert not Verifier("x", bytes(31)).verifies("text\n", bytes(64))


def test_names_have_no_spaces_and_no_plus() -> None:
    assert all(map(is_key_name, ["log.example/1", "hashdb", "ü"]))
    assert not any(map(is_key_name, ["", "a b", "a+b", "a\u00a0b", "a\nb", "\u2003"]))
