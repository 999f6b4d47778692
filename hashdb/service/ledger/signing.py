"""What a machine holds beside the database to prove the log: the private key, and the checkpoints that were signed."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from hashdb.domain.ledger.checkpoints import Signer, Verifier
from hashdb.errors import BadNote, BadSetting, WrongSigningKey
from hashdb.index.folder import sync_folder

_KEY_SETTING = "HASHDB_SIGNING_KEY_FILE"
_SIGNED = re.compile("\n\u2014 [^\n]+\n\n".encode())
"""The end of a note in the file, where an empty line follows each."""
_TAIL = 65_536
log = logging.getLogger("hashdb.signing")


class Signing:
    """The log's key in a file of its own, and the file of its checkpoints; `origin` names a log that has no name."""

    def __init__(self, key: Path, record: Path, origin: str | None = None) -> None:
        """Reads nothing yet."""
        self.origin = origin
        self._key = key
        self._next = key.with_name(f"{key.name}.new")
        self._record = record
        self._signer: Signer | None = None

    def signer(self, needed: Verifier) -> Signer:
        """The private half of a key, read again where another one was known. Raises WrongSigningKey, BadSetting."""
        if self._signer is not None and self._signer.verifier == needed:
            return self._signer
        for path in (self._key, self._next):
            found = _read(path, needed.name)
            if found is not None and found.verifier == needed:
                if path == self._next:
                    self.renew()
                self._signer = found
                return found
        reason = f"{self._key} holds another key" if self._key.exists() else f"there is no {self._key}"
        raise WrongSigningKey(str(needed), reason)

    def here(self, name: str) -> Verifier | None:
        """The public half of the key that this machine has, if it has one. Raises BadSetting."""
        found = _read(self._key, name)
        return None if found is None else found.verifier

    def first(self, name: str) -> Verifier:
        """The key that is here already, else one that is made now. Raises BadSetting."""
        if self.here(name) is None:
            self.prepare(name)
            self.renew()
        found = self.here(name)
        assert found is not None
        return found

    def prepare(self, name: str) -> Verifier:
        """Make a key and write it beside the one in use, for `renew` to put in its place. Raises BadSetting."""
        signer = Signer.new(name)
        try:
            with suppress(FileNotFoundError):
                self._next.unlink()
            descriptor = os.open(self._next, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(signer.pem())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unusable(self._next, error) from None
        return signer.verifier

    def renew(self) -> None:
        """Put the key that was prepared in the place of the old one. Raises BadSetting."""
        try:
            # Somebody else who saw that the new key is in force may have done it.
            with suppress(FileNotFoundError):
                self._next.replace(self._key)
            sync_folder(self._key.parent)
        except OSError as error:
            raise _unusable(self._key, error) from None

    def write_down(self, note: str) -> None:
        """Append a signed checkpoint to the file, after the last whole one that is there.

        Where that cannot be, as on a full disk, the log of the process says so, and the database has it alone.
        """
        try:
            self._append(note)
        except OSError as error:
            log.warning("a checkpoint is not in %s: %s", self._record.name, _why(error))

    def _append(self, note: str) -> None:
        with self._record.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(0, size - _TAIL))
            # What was cut off when the machine stopped is no checkpoint.
            whole = [found.end() for found in _SIGNED.finditer(file.read())]
            file.truncate(start + whole[-1] if whole else size if start else 0)
            file.write(note.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def written(self) -> tuple[str, ...]:
        """The signed checkpoints of the file, in order. Raises BadSetting."""
        try:
            octets = self._record.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise BadSetting("HASHDB_HOME", f"{self._record} cannot be read: {_why(error)}") from None
        ends = [0, *(found.end() for found in _SIGNED.finditer(octets))]
        return tuple(octets[begin : end - 1].decode("utf-8", "replace") for begin, end in pairwise(ends))


def _read(path: Path, name: str) -> Signer | None:
    try:
        return Signer.read(name, path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None
    except BadNote as error:
        raise BadSetting(_KEY_SETTING, f"{path}: {error}") from None


def _unusable(path: Path, error: OSError) -> BadSetting:
    return BadSetting(_KEY_SETTING, f"{path} cannot be used: {_why(error)}")


def _why(error: OSError) -> str:
    return (error.strerror or "unknown error").lower()
