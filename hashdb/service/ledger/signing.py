"""Signing: the files beside the database that prove the log, its private key and its signed checkpoints."""

from __future__ import annotations

import fcntl
import logging
import os
import re
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from hashdb.domain.ledger.notes import Signer, Verifier
from hashdb.errors import BadNote, BadSetting, WrongSigningKey, os_reason
from hashdb.index.folder import sync_folder

_KEY_SETTING = "HASHDB_SIGNING_KEY_FILE"
_END_OF_NOTE = re.compile("\n\u2014 [^\n]+\n\n".encode())
"""The end of a note in the file; an empty line follows each note."""
_TAIL = 65_536
"""Bytes at the end of the file in which the end of the last complete note is searched for."""
log = logging.getLogger("hashdb.signing")


class Signing:
    """The file of the log's key, and the file of its checkpoints; `origin` names a new log."""

    def __init__(self, key: Path, record: Path, origin: str | None = None) -> None:
        """Use these paths; nothing is read yet."""
        self.origin = origin
        self._key = key
        self._next = key.with_name(f"{key.name}.new")
        self._record = record
        self._signer: Signer | None = None

    def signer(self, needed: Verifier) -> Signer:
        """The private half of a key, cached until another one is needed. Raises WrongSigningKey, BadSetting."""
        if self._signer is not None and self._signer.verifier == needed:
            return self._signer
        for path in (self._key, self._next):
            signer = _read(path, needed.name)
            if signer is not None and signer.verifier == needed:
                if path == self._next:
                    self.renew()
                self._signer = signer
                return signer
        reason = f"{self._key} holds another key" if self._key.exists() else f"there is no {self._key}"
        raise WrongSigningKey(str(needed), reason)

    def own_key(self, name: str) -> Verifier | None:
        """The public half of this machine's key; None if it has none. Raises BadSetting."""
        signer = _read(self._key, name)
        return None if signer is None else signer.verifier

    def own_or_new_key(self, name: str) -> Verifier:
        """The public half of this machine's key, which is made now if there is none. Raises BadSetting."""
        if self.own_key(name) is None:
            self.prepare(name)
            self.renew()
        verifier = self.own_key(name)
        assert verifier is not None
        return verifier

    def prepare(self, name: str) -> Verifier:
        """Make a key and write it into a file beside the one in use. `renew` then replaces that. Raises BadSetting."""
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
        """Replace the key in use by the prepared one. Raises BadSetting."""
        try:
            # Another process may have done it: `signer` does, when it needs the new key.
            with suppress(FileNotFoundError):
                self._next.replace(self._key)
            sync_folder(self._key.parent)
        except OSError as error:
            raise _unusable(self._key, error) from None

    def record_checkpoint(self, note: str) -> None:
        """Append a signed checkpoint to the file, after the last complete one.

        If that fails, as on a full disk, the process logs a warning, and only the database has the checkpoint.
        """
        try:
            self._append(note)
        except OSError as error:
            log.warning("a checkpoint could not be written to %s: %s", self._record.name, os_reason(error))

    def _append(self, note: str) -> None:
        with self._record.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            start = file.seek(max(0, size - _TAIL))
            # A note that was cut off when the machine stopped is removed. If none ends in the part that was read, the
            # file stays as it is; if that part is the whole file, it has no complete note.
            ends = [end.end() for end in _END_OF_NOTE.finditer(file.read())]
            if ends:
                file.truncate(start + ends[-1])
            elif start == 0:
                file.truncate(0)
            file.write(note.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def recorded_checkpoints(self) -> tuple[str, ...]:
        """The signed checkpoints of the file, in order. Raises BadSetting."""
        try:
            octets = self._record.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise BadSetting("HASHDB_HOME", f"{self._record} cannot be read: {os_reason(error)}") from None
        ends = [0, *(end.end() for end in _END_OF_NOTE.finditer(octets))]
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
    return BadSetting(_KEY_SETTING, f"{path} cannot be used: {os_reason(error)}")
