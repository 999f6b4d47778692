"""The files beside the database: a key that only its owner can read, and checkpoints that survive a crash."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hashdb.domain.ledger.notes import Signer
from hashdb.errors import BadSetting, WrongSigningKey
from hashdb.service.ledger.signing import Signing

NAME = "log.example/1"
NOTE = "log.example/1\n{}\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u2014 log.example/1 AAAAAAAA\n"
NOTES = tuple(NOTE.format(size) for size in range(1, 4))


def test_a_key_is_created_once_and_only_its_owner_can_read_it(signing: Signing, tmp_path: Path) -> None:
    assert signing.own_key(NAME) is None
    key = signing.own_or_new_key(NAME)
    file = tmp_path / "signing.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert signing.own_or_new_key(NAME) == signing.own_key(NAME) == key
    assert signing.signer(key).verifier == key
    assert [path.name for path in tmp_path.iterdir()] == ["signing.key"]


def test_a_key_from_openssl_is_accepted(signing: Signing, tmp_path: Path) -> None:
    # The private key of RFC 8410, section 10.3.
    pem = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC"
    file = tmp_path / "signing.key"
    file.write_text(f"-----BEGIN {'PRIVATE KEY'}-----\n{pem}\n-----END {'PRIVATE KEY'}-----\n")
    public = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
    assert signing.own_or_new_key(NAME).public.hex() == public


def test_a_missing_or_wrong_key_is_reported(signing: Signing, tmp_path: Path) -> None:
    needed = Signer.new(NAME).verifier
    with pytest.raises(WrongSigningKey, match=r"there is no \S+signing\.key"):
        signing.signer(needed)
    signing.own_or_new_key(NAME)
    with pytest.raises(WrongSigningKey, match=r"signing\.key holds another key"):
        signing.signer(needed)


@pytest.mark.parametrize("content", ["", "nonsense", "-----BEGIN X-----\nAAAA\n-----END X-----\n"])
def test_a_file_without_a_key_is_reported_as_a_bad_setting(signing: Signing, tmp_path: Path, content: str) -> None:
    (tmp_path / "signing.key").write_text(content)
    with pytest.raises(
        BadSetting, match=r"^HASHDB_SIGNING_KEY_FILE: \S+signing\.key: the file must hold an Ed25519 private key"
    ):
        signing.own_or_new_key(NAME)


def test_an_unusable_path_is_reported_as_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"cannot be used: no such file or directory"):
        Signing(tmp_path / "away" / "key", tmp_path / "record").own_or_new_key(NAME)
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadSetting, match=r"cannot be used: is a directory"):
        Signing(tmp_path / "folder", tmp_path / "record").own_key(NAME)
    with pytest.raises(BadSetting, match=r"^HASHDB_HOME: \S+ cannot be read: is a directory"):
        Signing(tmp_path / "key", tmp_path / "folder").recorded_checkpoints()


def test_a_prepared_key_is_found_before_it_replaces_the_old_one(signing: Signing, tmp_path: Path) -> None:
    old = signing.own_or_new_key(NAME)
    new = signing.prepare(NAME)
    assert signing.signer(old).verifier == old
    # Another process that already sees the new key in the log also finds it.
    other = Signing(tmp_path / "signing.key", tmp_path / "checkpoints.txt")
    assert other.signer(new).verifier == other.own_key(NAME) == new
    signing.renew()
    assert signing.signer(new).verifier == new
    with pytest.raises(WrongSigningKey):
        signing.signer(old)


def test_checkpoints_are_appended_to_the_file(signing: Signing, tmp_path: Path) -> None:
    assert signing.recorded_checkpoints() == ()
    for note in NOTES:
        signing.record_checkpoint(note)
    assert signing.recorded_checkpoints() == NOTES
    assert (tmp_path / "checkpoints.txt").read_text() == "".join(f"{note}\n" for note in NOTES)


def test_a_truncated_checkpoint_is_ignored_and_overwritten(signing: Signing, tmp_path: Path) -> None:
    file = tmp_path / "checkpoints.txt"
    whole = f"{NOTES[0]}\n".encode()
    for cut in range(len(whole)):
        file.write_bytes(whole + f"{NOTES[1]}\n".encode()[:cut])
        assert signing.recorded_checkpoints() == NOTES[:1]
        signing.record_checkpoint(NOTES[2])
        assert signing.recorded_checkpoints() == (NOTES[0], NOTES[2])
    file.write_bytes(whole[:20])
    signing.record_checkpoint(NOTES[2])
    assert signing.recorded_checkpoints() == NOTES[2:]


def test_a_checkpoint_is_appended_to_a_long_file(signing: Signing, tmp_path: Path) -> None:
    notes = [NOTE.format(size) for size in range(1_000)]
    (tmp_path / "checkpoints.txt").write_text("".join(f"{note}\n" for note in notes) + "torn")
    signing.record_checkpoint(NOTES[0])
    assert signing.recorded_checkpoints() == (*notes, NOTES[0])
    # If the end of the file has no checkpoint, nothing is removed.
    (tmp_path / "checkpoints.txt").write_text("x" * 100_000)
    signing.record_checkpoint(NOTES[0])
    assert len(signing.recorded_checkpoints()[0]) > 100_000


def test_a_checkpoint_that_cannot_be_written_is_logged_without_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "none"
    signing = Signing(tmp_path / "signing.key", folder / "checkpoints.txt")
    signing.record_checkpoint(NOTES[0])
    assert "a checkpoint could not be written to checkpoints.txt: no such file or directory" in caplog.text
    folder.mkdir()
    signing.record_checkpoint(NOTES[1])
    assert signing.recorded_checkpoints() == (NOTES[1],)
