"""Signatures are near for copies, far for other pictures, and also right for pictures with little detail."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from hashdb.domain.signals import Algorithm, Profile
from hashdb.domain.signatures import WHOLE, Kind, Signature
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing import hash_transforms, hash_variants
from hashdb.hashing.pictures import Limits, Picture, read_picture
from hashdb.hashing.signatures import signatures, signatures_by_view
from hashdb.hashing.transforms import look_inside
from tests.hashing.samples import ORIENTATIONS, PHOTOS, draw_picture, encode_picture

PHOTO, OTHER = (read_picture(photo.read_bytes(), Limits()).colour for photo in PHOTOS[1:9:7])


def _striped(*colours: str) -> Image.Image:
    flag = Image.new("RGB", (300, 200))
    for place, colour in enumerate(colours):
        ImageDraw.Draw(flag).rectangle((place * 100, 0, place * 100 + 99, 199), fill=colour)
    return flag


def _signatures(image: Image.Image) -> tuple[Signature, Signature]:
    detail, colour, *_ = signatures(Picture(image))
    assert (detail.kind, colour.kind) == (Kind.DETAIL, Kind.COLOUR)
    return detail, colour


def _views(picture: Picture, *names: str) -> dict[str, tuple[Signature, ...]]:
    return signatures_by_view(picture, look_inside(picture), names)


def _distances(image: Image.Image, other: Image.Image) -> tuple[float, float]:
    (detail, colour), (detail_of_other, colour_of_other) = _signatures(image), _signatures(other)
    return detail.distance(detail_of_other), colour.distance(colour_of_other)


@pytest.mark.parametrize("name", ["JPEG 30", "half size", "brightness × 1.3", "blur 1.5"])
def test_a_copy_is_near_and_another_picture_is_far(name: str) -> None:
    detail, colour = _distances(PHOTO, ALTERATIONS[name].apply(PHOTO))
    assert detail < 0.12
    assert colour < 7
    detail, colour = _distances(PHOTO, OTHER)
    assert detail > 0.35
    assert colour > 9


def test_the_colour_signature_distinguishes_flags_with_little_detail() -> None:
    flag = _striped("navy", "white", "red")
    detail, colour = _distances(flag, ALTERATIONS["JPEG 30"].apply(flag))
    assert detail < 0.02
    assert colour < 4
    detail, colour = _distances(flag, _striped("green", "white", "red"))
    assert detail < 0.02
    assert colour > 20


@pytest.mark.parametrize(("name", "rotation"), ORIENTATIONS.items())
def test_an_orientation_has_the_signatures_of_the_rotated_picture(name: str, rotation: Image.Transpose) -> None:
    views = _views(Picture(PHOTO), name)
    for signature, expected in zip(views[name], _signatures(PHOTO.transpose(rotation)), strict=True):
        assert signature.distance(expected) < (0.03 if signature.kind is Kind.DETAIL else 1)


def test_the_inside_of_a_frame_has_the_signatures_of_the_picture() -> None:
    framed = Picture(ALTERATIONS["border 10 %"].draw_on(PHOTO))
    views = _views(framed, "border", "border-mirror")
    detail, _ = _signatures(PHOTO)
    for name, expected in (
        ("border", detail),
        ("border-mirror", _signatures(PHOTO.transpose(Image.Transpose.FLIP_LEFT_RIGHT))[0]),
    ):
        details = [signature for signature in views[name] if signature.kind is Kind.DETAIL]
        assert min(signature.distance(expected) for signature in details) < 0.15


def test_only_the_whole_and_named_views_have_signatures() -> None:
    assert list(_views(Picture(PHOTO), "flip", "middle")) == [WHOLE, "flip"]


def test_a_flat_picture_and_a_tiny_one_have_no_signatures() -> None:
    for image in (Image.new("RGB", (300, 200), "grey"), draw_picture().resize((4, 300))):
        octets = encode_picture(image)
        assert hash_variants(octets, [Algorithm.PHASH256], Profile.BALANCED).signatures == {}
        assert hash_transforms(octets, [Algorithm.PHASH256]).signatures == {}
