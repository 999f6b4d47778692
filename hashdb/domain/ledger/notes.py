"""Signed notes of C2SP (c2sp.org/signed-note) with Ed25519: keys and signatures."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashdb.errors import BadNote, needing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

    from hashdb.domain.ledger.cosignatures import WitnessKey

_ED25519 = b"\x01"
"""The octet of the algorithm in a signed note."""
KEY_ID_OCTETS, _PUBLIC_KEY_OCTETS = 4, 32
"""Octets of the id of a key, with which each signature begins, and of a public key."""
_DASH = "\u2014"
"""The first character of a line of a signature."""
_MAX_CHARACTERS = 100_000
"""The highest number of characters in a note."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key (Ed25519, 32 octets) with a name."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The first four octets of SHA-256(name ‖ newline ‖ 0x01 ‖ public key)."""
        return key_id(self.name, _ED25519 + self.public)

    def __str__(self) -> str:
        """The vkey: `name+hash+base64(0x01 ‖ public key)`."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """The verifier of a vkey. Raises BadNote."""
        name, hash, octets = split_vkey(vkey)
        verifier = cls(name, octets[1:])
        if (
            not is_key_name(name)
            or octets[:1] != _ED25519
            or len(octets) != 1 + _PUBLIC_KEY_OCTETS
            or verifier.id.hex() != hash
        ):
            raise BadNote("this is not an Ed25519 verifier key")
        return verifier

    def verifies(self, text: str, signature: bytes) -> bool:
        """Whether this key signed the text. Raises ExtraMissing."""
        with needing("audit", "a check of a signature"):
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key with a name."""

    name: str
    private: Ed25519PrivateKey

    @property
    def verifier(self) -> Verifier:
        """The public key."""
        return Verifier(self.name, self.private.public_key().public_bytes_raw())

    @classmethod
    def new(cls, name: str) -> Signer:
        """A signer with a new random key. Needs the extra `audit`."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def read(cls, name: str, pem: bytes) -> Signer:
        """The signer with a private key in PEM, without a password. Raises BadNote."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key = load_private_key(pem)
        if not isinstance(key, Ed25519PrivateKey):
            raise BadNote("the file must hold an Ed25519 private key in PEM, without a password")
        return cls(name, key)

    def pem(self) -> bytes:
        """The private key as PKCS 8 in PEM, as openssl writes it."""
        return private_pem(self.private)

    def sign(self, text: str) -> str:
        """The signed note of a text that ends with a newline."""
        return f"{text}\n{signature_line(self.verifier, self.private.sign(text.encode()))}"


def load_private_key(pem: bytes) -> object:
    """The private key of a PEM without a password; None if it holds no key that can be read."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def private_pem(key: Ed25519PrivateKey | MLDSA44PrivateKey) -> bytes:
    """A private key as PKCS 8 in PEM, as openssl writes it."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_id(name: str, key: bytes) -> bytes:
    """The id of a key with a name: the first four octets of SHA-256(name ‖ newline ‖ key).

    Here, `key` is the octet of its type, and the public key.
    """
    return hashlib.sha256(name.encode() + b"\n" + key).digest()[:KEY_ID_OCTETS]


def split_vkey(vkey: str) -> tuple[str, str, bytes]:
    """The name, the id in hex, and the octets of the type and the key, of `name+id+base64`. Raises BadNote."""
    name, _, rest = vkey.partition("+")
    id, _, text = rest.partition("+")
    return name, id, decode_base64(text)


def signature_line(key: Verifier | WitnessKey, signature: bytes) -> str:
    """The line of a signature in a note, with its newline."""
    return f"{_DASH} {key.name} {base64.b64encode(key.id + signature).decode()}\n"


def is_key_name(text: str) -> bool:
    """Whether a text can be the name of a key: printable, not empty, without spaces and plus signs."""
    return bool(text) and text.isprintable() and "+" not in text and not any(letter.isspace() for letter in text)


def read_note(note: str, verifiers: Iterable[Verifier]) -> tuple[str, Verifier]:
    """The text of a note and the first of the keys that signed it. Raises BadNote for a bad signature, or none."""
    text, signatures = split_note(note)
    known = {(verifier.name, verifier.id): verifier for verifier in verifiers}
    claims = [
        (verifier, octets[KEY_ID_OCTETS:])
        for name, octets in signatures
        if (verifier := known.get((name, octets[:KEY_ID_OCTETS]))) is not None
    ]
    if not claims:
        raise BadNote("the note is not signed by a key of this log")
    if not all(verifier.verifies(text, signature) for verifier, signature in claims):
        raise BadNote("the signature is not valid for this text")
    return text, claims[0][0]


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The body of a note, and the name and the octets of each signature. Raises BadNote."""
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n") or len(note) > _MAX_CHARACTERS:
        raise BadNote("this is not a signed note")
    if any(letter < " " and letter != "\n" for letter in note):
        raise BadNote("the note has control characters")
    signatures = []
    for line in lines[:-1].split("\n"):
        dash, _, rest = line.partition(" ")
        name, _, signature = rest.partition(" ")
        octets = decode_base64(signature)
        if dash != _DASH or not is_key_name(name) or len(octets) <= KEY_ID_OCTETS:
            raise BadNote("a signature line of the note is malformed")
        signatures.append((name, octets))
    return f"{text}\n", signatures


def decode_base64(text: str) -> bytes:
    """The octets of a base64 text, which must be the canonical one for them. Raises BadNote."""
    try:
        octets = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadNote("the text is not base64") from None
    if base64.b64encode(octets).decode() != text:
        raise BadNote("the text is not base64")
    return octets
