"""Signed notes: the published example verifies, and malformed notes are rejected."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hashdb.domain.ledger.notes import Signer, Verifier, is_key_name, read_note
from hashdb.errors import BadNote

VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
"""The key of the example in the documentation of Go's package note. NOTE is the same example."""
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
NOTE = f"{TEXT}\n\u2014 PeterNeumann {SIGNATURE}\n"
PETER = Verifier.parse(VKEY)


@pytest.fixture
def signer() -> Signer:
    """A signer with a new key."""
    return Signer("log.example/1", Ed25519PrivateKey.generate())


def test_the_published_example_verifies() -> None:
    assert str(PETER) == VKEY
    assert (PETER.name, PETER.id.hex()) == ("PeterNeumann", "c74f20a3")
    assert read_note(NOTE, [PETER]) == (TEXT, PETER)


def test_a_signed_text_is_read_with_its_key_among_others(signer: Signer) -> None:
    text = "log.example/1\n\nsecond part\n"
    note = signer.sign(text)
    assert note.startswith(f"{text}\n\u2014 log.example/1 ")
    assert read_note(note, [PETER, signer.verifier]) == (text, signer.verifier)
    assert Verifier.parse(str(signer.verifier)) == signer.verifier


def test_the_signature_of_an_unknown_key_is_ignored(signer: Signer) -> None:
    both = NOTE + signer.sign(TEXT).rpartition("\n\n")[2]
    assert read_note(both, [PETER]) == (TEXT, PETER)
    assert read_note(both, [signer.verifier]) == (TEXT, signer.verifier)
    with pytest.raises(BadNote, match="not signed by a key of this log"):
        read_note(both, [])


def test_a_note_with_one_bad_signature_of_a_known_key_is_rejected(signer: Signer) -> None:
    other = signer.sign("Another text\n").rpartition("\n\n")[2]
    with pytest.raises(BadNote, match="signature is not valid for this text"):
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
def test_an_altered_or_malformed_note_is_rejected(note: str) -> None:
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
def test_a_malformed_verifier_key_is_rejected(vkey: str) -> None:
    with pytest.raises(BadNote):
        Verifier.parse(vkey)


def test_an_invalid_public_key_verifies_nothing() -> None:
    assert not Verifier("x", bytes(31)).verifies("text\n", bytes(64))


def test_the_name_of_a_key_has_no_spaces_and_no_plus() -> None:
    assert all(map(is_key_name, ["log.example/1", "hashdb", "ü"]))
    assert not any(map(is_key_name, ["", "a b", "a+b", "a\u00a0b", "a\nb", "\u2003"]))
