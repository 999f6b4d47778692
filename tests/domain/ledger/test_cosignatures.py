"""Cosignatures: they have the octets that C2SP specifies, with both types of keys."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from hashdb.domain.ledger.checkpoints import Checkpoint
from hashdb.domain.ledger.cosignatures import Cosigner, KeyType, SetRoot, WitnessKey, cosigners
from hashdb.domain.ledger.notes import Signer, private_pem, signature_line
from hashdb.errors import BadNote

BOTH = pytest.mark.parametrize("type", KeyType)
CHECKPOINT = Checkpoint("log.example/1", 7, hashlib.sha256(b"root").digest())
TIME = 1_790_000_000


def test_an_ed25519_cosignature_signs_the_time_and_the_body() -> None:
    private = Ed25519PrivateKey.generate()
    line = Cosigner("witness.example/w1", private).cosign(CHECKPOINT.body, TIME)
    dash, name, text = line.rstrip("\n").split(" ")
    octets, public = base64.b64decode(text), private.public_key().public_bytes_raw()
    assert (dash, name) == ("\u2014", "witness.example/w1")
    assert octets[:4] == hashlib.sha256(b"witness.example/w1\n\x04" + public).digest()[:4]
    assert octets[4:12] == TIME.to_bytes(8)
    private.public_key().verify(octets[12:], f"cosignature/v1\ntime {TIME}\n{CHECKPOINT.body}".encode())


def test_an_ml_dsa_cosignature_signs_the_names_and_the_tree() -> None:
    private = MLDSA44PrivateKey.generate()
    line = Cosigner("w2", private).cosign(CHECKPOINT.body, TIME)
    octets, public = base64.b64decode(line.split(" ")[2]), private.public_key().public_bytes_raw()
    assert octets[:4] == hashlib.sha256(b"w2\n\x06" + public).digest()[:4]
    message = b"subtree/v1\n\0" + b"\x02w2" + TIME.to_bytes(8) + b"\x0dlog.example/1"
    message += (0).to_bytes(8) + (7).to_bytes(8) + CHECKPOINT.root
    private.public_key().verify(octets[12:], message)


@BOTH
def test_cosigners_returns_who_cosigned_a_note_and_when(type: KeyType) -> None:
    log, cosigner, other = Signer.new("log.example/1"), Cosigner.new("w1", type), Cosigner.new("w1", type)
    note = CHECKPOINT.signed(log) + cosigner.cosign(CHECKPOINT.body, TIME)
    assert cosigners(note, [other.key, cosigner.key]) == {cosigner.key: TIME}
    assert cosigners(CHECKPOINT.signed(log), [cosigner.key]) == {}


@BOTH
def test_a_note_with_a_cosignature_of_another_body_or_time_is_rejected(type: KeyType) -> None:
    log, cosigner = Signer.new("log.example/1"), Cosigner.new("w1", type)
    other = Checkpoint("log.example/1", 8, CHECKPOINT.root).body
    with pytest.raises(BadNote, match="cosignature of w1 is not valid"):
        cosigners(CHECKPOINT.signed(log) + cosigner.cosign(other, TIME), [cosigner.key])
    octets = base64.b64decode(cosigner.cosign(CHECKPOINT.body, TIME).split(" ")[2])[4:]
    later = signature_line(cosigner.key, (TIME + 1).to_bytes(8) + octets[8:])
    with pytest.raises(BadNote, match="is not valid"):
        cosigners(CHECKPOINT.signed(log) + later, [cosigner.key])
    with pytest.raises(BadNote, match="is not valid"):
        cosigners(CHECKPOINT.signed(log) + cosigner.cosign(CHECKPOINT.body, 0), [cosigner.key])
    with pytest.raises(BadNote, match="is not valid"):
        cosigners(CHECKPOINT.signed(log) + signature_line(cosigner.key, b"short"), [cosigner.key])


@BOTH
def test_a_witness_key_is_read_back_from_its_text_and_pem(type: KeyType) -> None:
    cosigner = Cosigner.new("witness.example/w1", type)
    assert WitnessKey.parse(str(cosigner.key)) == cosigner.key
    assert Cosigner.read("witness.example/w1", private_pem(cosigner.private)).key == cosigner.key


@pytest.mark.parametrize("name", ["", "two words", "a+b"])
def test_the_name_of_a_witness_must_be_one_word_without_a_plus(name: str) -> None:
    with pytest.raises(BadNote, match="name of a key"):
        Cosigner.new(name)


def test_a_malformed_key_of_a_witness_is_rejected() -> None:
    log = Signer.new("log.example/1").verifier
    key = str(Cosigner.new("w1").key)
    name, id, text = key.split("+", 2)
    short = base64.b64encode(base64.b64decode(text)[:-1]).decode()
    for vkey in (
        str(log),
        "w1",
        "",
        f"other+{id}+{text}",
        f"{name}+00000000+{text}",
        f"{name}+{id}+{short}",
        f"{key}=",
    ):
        with pytest.raises(BadNote):
            WitnessKey.parse(vkey)
    for pem in (b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        with pytest.raises(BadNote, match="private key in PEM"):
            Cosigner.read("w1", pem)


def test_the_root_of_an_active_set_is_signed_under_its_own_name() -> None:
    root = SetRoot("log.example/1", 41, CHECKPOINT.root)
    assert root.body.splitlines() == ["log.example/1/set", "41", base64.b64encode(CHECKPOINT.root).decode()]
    assert SetRoot.parse(root.body) == root
    for body in (CHECKPOINT.body, "log.example/set\n", "set\n1\n" + root.body.splitlines()[2] + "\n"):
        with pytest.raises(BadNote):
            SetRoot.parse(body)
