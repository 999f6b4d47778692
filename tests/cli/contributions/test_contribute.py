"""hashdb contribute, then match and withdraw, against a real service."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageOps

from tests.cli.conftest import PHOTOS, Commands

METADATA = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")


def test_contribute_stores_every_field(member: Commands) -> None:
    output = member.json(
        *("contribute", PHOTOS[0], *METADATA, "--label", "incitement", "--severity", "3", "--basis", "terms"),
        *("--tco-ground", "2.7.a", "--entity", "UN:example", "--incident", "CIP:example", "--context", "synthetic"),
        *("--notified-at", "2026-11-20T09:00:00Z", "--expires-at", "2099-01-01T00:00:00Z", "--reference", "mine-1"),
    )
    assert len(output) == 1
    expected = {
        "path": str(PHOTOS[0]),
        "known": False,
        "status": "active",
        "labels": ["glorification", "incitement"],
        "severity": 3,
        "basis": "terms",
        "tco_ground": "2.7.a",
        "entity": "UN:example",
        "incident": "CIP:example",
        "context": ["synthetic"],
        "removed_at": "2026-11-20T10:00:00.000000Z",
        "notified_at": "2026-11-20T09:00:00.000000Z",
        "expires_at": "2099-01-01T00:00:00.000000Z",
        "reference": "mine-1",
    }
    assert output[0] | expected == output[0]


def test_a_folder_is_contributed_once_and_known_the_second_time(member: Commands) -> None:
    first = member.json("contribute", PHOTOS[0].parent, *METADATA)
    again = member.json("contribute", PHOTOS[0].parent, *METADATA)
    assert [item["id"] for item in again] == [item["id"] for item in first]
    assert {item["known"] for item in first} == {False}
    assert {item["known"] for item in again} == {True}
    assert "(already known)" in member("contribute", PHOTOS[0], *METADATA).stdout


def test_a_flat_or_broken_picture_is_reported_and_the_others_are_contributed(member: Commands, tmp_path: Path) -> None:
    flat, broken = tmp_path / "flat.png", tmp_path / "broken.jpg"
    Image.new("RGB", (64, 64), "gray").save(flat)
    broken.write_bytes(b"not a picture")
    output = member.json("contribute", flat, PHOTOS[0], broken, *METADATA, status=1)
    assert ["error" in item for item in output] == [True, False, True]
    assert "quality 0" in output[0]["error"]


def test_an_error_of_the_service_is_reported_for_its_picture(member: Commands) -> None:
    output = member.json("contribute", PHOTOS[0], *METADATA, "--incident", "unheard_of", status=1)
    assert output[0]["error"].startswith("incident: must be PCI:, CIP: or CI: and a slug")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--label", "glorifcation"), "'--label': 'glorifcation' is not a behaviour of this service: "),
        (("--basis", "term"), "; did you mean 'terms'?"),
        (("--context", "victim"), "'--context': 'victim' is not a context of this service: "),
        (("--entity", "XX:example"), "'--entity': 'XX' is not an entity list of this service: UN, EU"),
    ],
)
def test_an_unknown_code_is_rejected_before_any_file_is_hashed(
    member: Commands, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    (broken := tmp_path / "broken.jpg").write_bytes(b"\0not a picture")
    result = member("contribute", broken, *METADATA, *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert sentence in result.stderr


def test_match_shows_the_contribution_and_the_distances(member: Commands, tmp_path: Path) -> None:
    id = member.json("contribute", PHOTOS[2], *METADATA)[0]["id"]
    smaller = tmp_path / "smaller.jpg"
    with Image.open(PHOTOS[2]) as photo:
        photo.resize((photo.width // 2, photo.height // 2)).save(smaller, quality=80)
    output = member.json("match", smaller, PHOTOS[2])
    assert [item["action"] for item in output] == ["review", "review"]
    assert id in [match["contribution"] for match in output[0]["matches"]]
    (line,) = member("match", smaller).stdout.splitlines()
    assert line.startswith(f"{smaller}  review (")
    assert any(part.startswith(f"contribution {id}: pdq ") for part in line.split("  "))


def test_a_radius_narrows_a_match_and_is_validated(member: Commands, tmp_path: Path) -> None:
    member.json("contribute", PHOTOS[3], *METADATA)
    tiny = tmp_path / "tiny.jpg"
    with Image.open(PHOTOS[3]) as photo:
        photo.resize((photo.width // 3, photo.height // 3)).save(tiny, quality=30)
    assert "pdq" in member.json("match", tiny)[0]["matches"][0]["agree"]
    matches = member.json("match", tiny, "--radius", "pdq=0")[0]["matches"]
    assert matches and all("pdq" not in match["agree"] for match in matches)
    assert member("match", tiny, "--radius", "pdq").returncode == 2
    assert "0 to 31 bits" in member("match", tiny, "--radius", "pdq=32").stderr


def test_a_withdrawn_contribution_no_longer_matches(member: Commands) -> None:
    id = member.json("contribute", PHOTOS[4], *METADATA)[0]["id"]
    assert member.json("withdraw", str(id), "--reason", "removal_reversed")["status"] == "withdrawn"
    matches = member.json("match", PHOTOS[4])[0]["matches"]
    assert id not in [match["contribution"] for match in matches]
    assert member("withdraw", str(id), "--reason", "other").stderr == (
        f"hashdb: contribution {id} is already withdrawn\n"
    )


def test_an_impossible_contribution_id_is_a_usage_error(member: Commands) -> None:
    assert member("withdraw", str(2**53), "--reason", "other").returncode == 2
    result = member("withdraw", str(2**53 - 1), "--reason", "other")
    assert result.stderr == f"hashdb: contribution {2**53 - 1} does not exist\n"


def test_a_missing_key_is_reported_with_its_setting(member: Commands) -> None:
    result = member("match", PHOTOS[0], HASHDB_KEY="")
    assert result.returncode == 2
    assert result.stderr.startswith(
        "hashdb: HASHDB_KEY: is not set: put the secret of your key there, or name its file"
    )


def test_a_wrong_key_is_reported_in_one_sentence(member: Commands) -> None:
    result = member("match", PHOTOS[0], HASHDB_KEY="hdb_wrong")
    assert result.returncode == 1
    assert result.stderr.endswith("does not accept the key from HASHDB_KEY: it is unknown there, expired or revoked\n")


def test_an_unreachable_service_is_reported_in_one_sentence(member: Commands) -> None:
    result = member("match", PHOTOS[0], HASHDB_URL="http://127.0.0.1:9")
    assert result.returncode == 1
    assert result.stderr.startswith("hashdb: no answer from http://127.0.0.1:9")


@pytest.mark.parametrize("arguments", [(), ("--label", "glorification"), ("--removed-at", "now")])
def test_labels_and_the_time_of_removal_are_required(member: Commands, arguments: tuple[str, ...]) -> None:
    assert member("contribute", PHOTOS[0], *arguments).returncode == 2


def test_the_profile_sets_how_many_signals_are_stored(member: Commands) -> None:
    counts = [
        len(member.json("contribute", PHOTOS[place], *METADATA, *options)[0]["signals"])
        for place, options in enumerate([("--profile", "plain"), (), ("--severity", "4")], 10)
    ]
    assert counts[0] == 3 < counts[1] < counts[2] <= 64


def test_a_mirrored_copy_is_found_with_transforms(member: Commands, tmp_path: Path) -> None:
    (contribution,) = member.json("contribute", PHOTOS[14], *METADATA)
    copy = tmp_path / "mirrored.png"
    ImageOps.mirror(Image.open(PHOTOS[14])).save(copy)
    assert member.json("match", copy)[0]["matches"] == []
    matches = member.json("match", "--transforms", copy)[0]["matches"]
    assert (contribution["id"], "mirror") in [(item["contribution"], item["transform"]) for item in matches]
    assert "(mirror)" in member("match", "--transforms", copy).stdout
