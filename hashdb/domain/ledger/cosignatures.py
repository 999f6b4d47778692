"""Cosignatures of C2SP (c2sp.org/tlog-cosignature): a witness states that a checkpoint's tree only grew.

A log asks a witness for a cosignature by a `Submission` (c2sp.org/tlog-witness). Organisations sign the root of the
active set (`SetRoot`) in the same form.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from hashdb.domain.ledger.checkpoints import Checkpoint, parse_checkpoint
from hashdb.domain.ledger.merkle import MOST_HASHES
from hashdb.domain.ledger.notes import (
    KEY_ID_OCTETS,
    decode_base64,
    is_key_name,
    key_id,
    load_private_key,
    private_pem,
    signature_line,
    split_note,
    split_vkey,
)
from hashdb.errors import BadNote, needing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

LONGEST_NAME: Final = 255
"""Octets of the name of a key."""
_NO_ML_DSA: Final = "the OpenSSL of this machine has no ML-DSA-44"
_TIME_OCTETS: Final = 8
"""Octets of the time before a signature."""
SUBMISSION_PATH: Final = "add-checkpoint"
"""The path of the request below the prefix of a witness."""
SIZE_TYPE: Final = "text/x.tlog.size"
"""The content type of an answer 409, whose text is the size of the last checkpoint that the witness cosigned."""
_OLD_SIZE = re.compile(r"old (0|[1-9][0-9]{0,15})", re.ASCII)


class KeyType(IntEnum):
    """The type of a witness's key. The value is the octet before the public key in a vkey."""

    ED25519 = 4
    ML_DSA_44 = 6

    @property
    def octets(self) -> int:
        """Octets of a public key."""
        return 32 if self is KeyType.ED25519 else 1_312


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The public key of a witness, or of an organisation, with a name."""

    name: str
    public: bytes
    type: KeyType = KeyType.ED25519

    @property
    def id(self) -> bytes:
        """The first four octets of SHA-256(name ‖ newline ‖ type ‖ public key)."""
        return key_id(self.name, bytes([self.type]) + self.public)

    @property
    def named_id(self) -> str:
        """The beginning of the vkey, `name+hash`, by which the service stores what this key signed."""
        return f"{self.name}+{self.id.hex()}"

    def __str__(self) -> str:
        """The vkey: `name+hash+base64(type ‖ public key)`."""
        return f"{self.named_id}+{base64.b64encode(bytes([self.type]) + self.public).decode()}"

    @classmethod
    def parse(cls, vkey: str) -> WitnessKey:
        """The key of a vkey. Raises BadNote."""
        name, hash, octets = split_vkey(vkey)
        types = {type.value: type for type in KeyType}
        if not is_key_name(name) or not octets or octets[0] not in types:
            raise BadNote("this is not the key of a witness: its type must be 4 (Ed25519) or 6 (ML-DSA-44)")
        key = cls(name, octets[1:], types[octets[0]])
        if len(name.encode()) > LONGEST_NAME:
            raise BadNote(f"the name of a witness's key has at most {LONGEST_NAME} octets")
        if len(key.public) != key.type.octets or key.id.hex() != hash:
            raise BadNote("this is not the key of a witness: its length or its hash is wrong")
        return key

    def signed_at(self, body: str, signature: bytes) -> int | None:
        """When this key cosigned the body of a note (seconds since 1970); None if it did not.

        `signature` is the time in 8 octets and the signature itself. Raises BadNote if the key needs ML-DSA-44 and
        OpenSSL has it not, and ExtraMissing.
        """
        with needing("audit", "a check of a cosignature"):
            from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
            from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

        time = int.from_bytes(signature[:_TIME_OCTETS])
        try:
            message = signed_message(self.type, self.name, body, time)
            if self.type is KeyType.ED25519:
                Ed25519PublicKey.from_public_bytes(self.public).verify(signature[_TIME_OCTETS:], message)
            else:
                MLDSA44PublicKey.from_public_bytes(self.public).verify(signature[_TIME_OCTETS:], message)
        except UnsupportedAlgorithm:
            raise BadNote(_NO_ML_DSA) from None
        except (InvalidSignature, ValueError, BadNote):
            return None
        return time if 0 < time < 1 << 63 else None


def signed_message(type: KeyType, name: str, body: str, time: int) -> bytes:
    """What a cosigner with this name signs of the body of a checkpoint, at a time in seconds since 1970.

    Raises BadNote.
    """
    if type is KeyType.ED25519:
        return f"cosignature/v1\ntime {time}\n{body}".encode()
    checkpoint = parse_checkpoint(body)
    cosigner, origin = name.encode(), checkpoint.origin.encode()
    if not 0 < len(cosigner) <= LONGEST_NAME or not 0 < len(origin) <= LONGEST_NAME:
        raise BadNote(f"the name of a cosigner and of a log has 1 to {LONGEST_NAME} octets")
    signer = bytes([len(cosigner)]) + cosigner + time.to_bytes(8)
    subtree = bytes([len(origin)]) + origin + (0).to_bytes(8) + checkpoint.size.to_bytes(8) + checkpoint.root
    return b"subtree/v1\n\0" + signer + subtree


@dataclass(frozen=True, slots=True)
class Cosigner:
    """The private key of a witness, or of an organisation, with a name."""

    name: str
    private: Ed25519PrivateKey | MLDSA44PrivateKey

    @classmethod
    def new(cls, name: str, type: KeyType = KeyType.ED25519) -> Cosigner:
        """A cosigner with a new random key. Raises BadNote for a name or type that a key cannot have, ExtraMissing."""
        with needing("audit", "a key of a witness"):
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

        if not is_key_name(name):
            raise BadNote("the name of a key must be printable, without spaces and plus signs")
        try:
            return cls(name, Ed25519PrivateKey.generate() if type is KeyType.ED25519 else MLDSA44PrivateKey.generate())
        except UnsupportedAlgorithm:
            raise BadNote(_NO_ML_DSA) from None

    @classmethod
    def read(cls, name: str, pem: bytes) -> Cosigner:
        """The cosigner with a private key in PEM, without a password. Raises BadNote, ExtraMissing."""
        with needing("audit", "a key of a witness"):
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
            from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

        key = load_private_key(pem)
        if not isinstance(key, Ed25519PrivateKey | MLDSA44PrivateKey):
            raise BadNote("the file must hold an Ed25519 or ML-DSA-44 private key in PEM, without a password")
        return cls(name, key)

    @classmethod
    def from_file(cls, octets: bytes) -> Cosigner:
        """The cosigner of a file: its vkey as the first line, then the key in PEM. Raises BadNote, ExtraMissing.

        Programs that read PEM ignore what is before it (RFC 7468).
        """
        vkey, _, pem = octets.partition(b"\n")
        try:
            key = WitnessKey.parse(vkey.decode().strip())
        except (BadNote, UnicodeDecodeError):
            raise BadNote(
                "the first line of the file must be the vkey of the key, and the key in PEM follows"
            ) from None
        cosigner = cls.read(key.name, pem)
        if cosigner.key != key:
            raise BadNote("the vkey in the first line of the file does not match the key")
        return cosigner

    @property
    def file(self) -> bytes:
        """What `from_file` reads, with the key as PKCS 8."""
        return f"{self.key}\n".encode() + private_pem(self.private)

    @property
    def key(self) -> WitnessKey:
        """The public key."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        type = KeyType.ED25519 if isinstance(self.private, Ed25519PrivateKey) else KeyType.ML_DSA_44
        return WitnessKey(self.name, self.private.public_key().public_bytes_raw(), type)

    def cosign(self, body: str, time: int) -> str:
        """The line of a cosignature of the body of a note, at a time in seconds since 1970. Raises BadNote."""
        key = self.key
        signature = self.private.sign(signed_message(key.type, self.name, body, time))
        return signature_line(key, time.to_bytes(_TIME_OCTETS) + signature)


def cosigners(note: str, keys: Iterable[WitnessKey]) -> Mapping[WitnessKey, int]:
    """Which of the keys cosigned a note, and when (seconds since 1970). Raises BadNote for an invalid cosignature."""
    body, signatures = split_note(note)
    known = {(key.name, key.id): key for key in keys}
    times: dict[WitnessKey, int] = {}
    for name, octets in signatures:
        if (key := known.get((name, octets[:KEY_ID_OCTETS]))) is not None:
            time = key.signed_at(body, octets[KEY_ID_OCTETS:])
            if time is None:
                raise BadNote(f"the cosignature of {key.name} is not valid for this text")
            times[key] = time
    return times


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint's signed note, with the proof that its tree begins with the tree cosigned last, of `old_size`."""

    old_size: int
    proof: tuple[bytes, ...]
    note: str

    def __str__(self) -> str:
        """The body of the request."""
        hashes = "".join(f"{base64.b64encode(hash).decode()}\n" for hash in self.proof)
        return f"old {self.old_size}\n{hashes}\n{self.note}"

    @classmethod
    def parse(cls, text: str) -> Submission:
        """The inverse of `str()`; the note has the form of a signed checkpoint. Raises BadNote."""
        head, blank, note = text.partition("\n\n")
        first, *lines = head.split("\n")
        old = _OLD_SIZE.fullmatch(first)
        if not old:
            raise BadNote("the first line must be `old` and the size of the checkpoint that was cosigned last")
        if not blank:
            raise BadNote("an empty line must be between the hashes and the checkpoint")
        if len(lines) > MOST_HASHES:
            raise BadNote(f"there are more than {MOST_HASHES} hashes")
        hashes = tuple(map(decode_base64, lines))
        if any(len(hash) != 32 for hash in hashes):
            raise BadNote("a hash must have 32 octets")
        parse_checkpoint(split_note(note)[0])
        return cls(int(old[1]), hashes, note)


@dataclass(frozen=True, slots=True)
class SetRoot:
    """The root of the active set of a log (its name is `origin`) in the event `seq`, which organisations may sign."""

    origin: str
    seq: int
    root: bytes

    @property
    def body(self) -> str:
        """What is signed: a checkpoint whose origin ends with `/set`."""
        return Checkpoint(f"{self.origin}/set", self.seq, self.root).body

    @classmethod
    def parse(cls, body: str) -> SetRoot:
        """The inverse of `body`. Raises BadNote."""
        checkpoint = parse_checkpoint(body)
        origin, slash, rest = checkpoint.origin.rpartition("/")
        if not slash or rest != "set":
            raise BadNote("this is not the root of a set: its first line must end with /set")
        return cls(origin, checkpoint.size, checkpoint.root)
