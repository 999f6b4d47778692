"""Verification: the evidence for and against a match."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import pytest
from PIL import Image, ImageDraw

from hashdb.domain.matching import details, verification
from hashdb.domain.matching.matches import MAX_SCORE, Verdict
from hashdb.domain.matching.verification import PreparedQuery, colour_difference, is_grey, is_photograph, verify
from hashdb.domain.signals import Algorithm, Profile, Signal
from hashdb.domain.signatures import WHOLE, Kind, Signature
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing import hash_transforms, hash_variants
from hashdb.hashing.pictures import Limits, read_picture
from tests.builders import near, signal, sparse
from tests.hashing.samples import PHOTOS, encode_picture

PDQ = signal(1)
ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256)
PHOTO = read_picture(PHOTOS[1].read_bytes(), Limits()).colour
OTHER = read_picture(PHOTOS[8].read_bytes(), Limits()).colour


def _card(seed: int) -> Image.Image:
    """A post of an app. Each seed has the same layout and other words, drawn as dashes of random lengths."""
    rng, card = random.Random(seed), Image.new("RGB", (400, 400), "white")
    draw = ImageDraw.Draw(card)
    draw.ellipse((20, 20, 70, 70), fill="navy")
    draw.rectangle((90, 30, 220, 40), fill="black")
    draw.line((20, 360, 380, 360), fill="grey", width=3)
    for y in range(100, 330, 22):
        x = 20
        while x < 340:
            width = rng.randint(10, 60)
            draw.rectangle((x, y, x + width, y + 10), fill="black")
            x += width + 12
    return card


def _flag(*colours: str) -> Image.Image:
    flag = Image.new("RGB", (300, 200))
    for place, colour in enumerate(colours):
        ImageDraw.Draw(flag).rectangle((0, place * 67, 299, place * 67 + 66), fill=colour)
    return flag


def _verdict(listed: Image.Image, queried: Image.Image) -> Verdict:
    """The verdict on a picture, as if the index had found its own hash."""
    stored = hash_variants(encode_picture(listed), ALGORITHMS, Profile.BALANCED)
    query = hash_transforms(encode_picture(queried), ALGORITHMS)
    views: Mapping[str, Sequence[Signal]] = {WHOLE: query.signals, **query.transforms}
    # The query gets a hash of the listed picture, so that only the signatures decide.
    views = {**views, WHOLE: (*query.signals, stored.signals[0])}
    signatures = stored.signatures.get(WHOLE, ())
    return verify(PreparedQuery(views, query.signatures), stored.signals, signatures, {stored.signals[0]: 0})


def test_a_verdict_lists_the_views_that_agree() -> None:
    query = PreparedQuery({"border": [PDQ], "mirror": [near(PDQ, 60)], WHOLE: [near(PDQ, 12)]}, {})
    verdict = verify(query, [signal(2), PDQ], [], {PDQ: 0})
    assert verdict.views == (WHOLE, "border")
    assert (verdict.detail, verdict.colour, verdict.contradicted) == (None, None, False)


def test_sparse_hashes_agree_only_within_a_smaller_radius() -> None:
    hash = sparse(1)
    query = PreparedQuery({WHOLE: [near(hash, 26)], "middle": [near(hash, 34)]}, {})
    assert verify(query, [hash], [], {hash: 26}).views == (WHOLE,)


def test_a_match_by_signals_alone_has_a_low_score_that_falls_with_distance() -> None:
    verdicts = [
        verify(PreparedQuery({WHOLE: [PDQ]}, {}), [near(PDQ, bits)], [], {near(PDQ, bits): bits})
        for bits in (0, 10, 20, 31)
    ]
    scores = [verdict.score for verdict in verdicts]
    assert scores == sorted(set(scores), reverse=True)
    assert 0 < scores[0] < 4
    assert not any(verdict.contradicted for verdict in verdicts)


def test_a_view_may_have_a_detail_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if its coefficients are computed twice, as by two threads at the same time."""
    monkeypatch.setattr(verification, "coefficients_of", details.coefficients_of.__wrapped__)
    first, other, stored = (Signature(Kind.DETAIL, random.Random(seed).randbytes(Kind.DETAIL.octets)) for seed in "abc")
    query = PreparedQuery({WHOLE: [PDQ]}, {WHOLE: [first], "tilt-left": [other, other]})
    assert verify(query, [PDQ], [stored], {PDQ: 0}).contradicted
    assert query.overlays == 2


def test_an_equal_digest_has_the_maximum_score() -> None:
    digest = signal(1, Algorithm.SHA256)
    assert verify(PreparedQuery({WHOLE: [digest]}, {}), [digest], [], {digest: 0}).score == MAX_SCORE


@pytest.mark.parametrize(
    "name",
    ["JPEG 10", "grey", "sticker", "captions over", "mirrored", "crop 15 %", "border 10 %", "tilted 3°", "screenshot"],
)
def test_a_copy_of_a_photograph_is_confirmed(name: str) -> None:
    verdict = _verdict(PHOTO, ALTERATIONS[name].apply(PHOTO, 1))
    assert not verdict.contradicted
    assert verdict.score >= 4
    assert verdict.detail is not None
    assert verdict.detail < 0.3


def test_a_different_photograph_is_contradicted() -> None:
    verdict = _verdict(PHOTO, OTHER)
    assert verdict.contradicted
    assert verdict.detail is not None
    assert verdict.detail > 0.35


def _flipped(signature: Signature) -> Signature:
    """A detail with 35 % of its bits changed, as by an attacker. A colour is returned unchanged."""
    if signature.kind is not Kind.DETAIL:
        return signature
    places = random.Random(1).sample(range(1_024), 358)
    mask = sum(1 << place for place in places)
    return Signature(Kind.DETAIL, (int.from_bytes(signature.octets) ^ mask).to_bytes(128))


def _changed(picture: Image.Image, names: Sequence[str]) -> Verdict:
    """The verdict on a picture with changed details. Only these views have signals."""
    stored, query = (
        hash_variants(encode_picture(picture), ALGORITHMS, Profile.BALANCED),
        hash_transforms(encode_picture(picture), ALGORITHMS),
    )
    every: Mapping[str, Sequence[Signal]] = {WHOLE: query.signals, **query.transforms}
    signatures = {name: [_flipped(signature) for signature in of_view] for name, of_view in query.signatures.items()}
    prepared = PreparedQuery({name: every[name] for name in names}, signatures)
    return verify(prepared, stored.signals, stored.signatures[WHOLE], {stored.signals[0]: 0})


def test_a_changed_detail_contradicts_one_strip_but_not_two_or_the_whole() -> None:
    for names in ([WHOLE], ["tile-left", "tile-right"], ["middle", "tile-bottom"]):
        verdict = _changed(PHOTO, names)
        assert not verdict.contradicted, names
        assert verdict.detail is not None
        assert verdict.detail > 0.3
        assert 0 < verdict.score < 4
    assert _changed(PHOTO, ["tile-left"]).contradicted


def test_a_changed_detail_contradicts_a_card_and_a_flag_in_any_view() -> None:
    assert _changed(_card(1), [WHOLE, "mirror", "middle"]).contradicted
    # The middle of a flag is left out: whether it has a hash depends on the rounding of the processor.
    assert _changed(_flag("red", "white", "navy"), [WHOLE, "mirror"]).contradicted


@pytest.mark.parametrize("name", ["black box over 35 %", "35 % off one side"])
def test_a_covered_or_cropped_photograph_is_not_contradicted(name: str) -> None:
    stored = hash_variants(encode_picture(PHOTO), ALGORITHMS, Profile.BALANCED)
    for number in range(4):
        query = hash_transforms(encode_picture(ALTERATIONS[name].apply(PHOTO, number)), ALGORITHMS)
        prepared = PreparedQuery({WHOLE: query.signals, **query.transforms}, query.signatures)
        verdict = verify(prepared, stored.signals, stored.signatures[WHOLE], {stored.signals[0]: 0})
        assert verdict.views
        assert not verdict.contradicted, number


def test_is_photograph_distinguishes_photographs_from_cards_and_flags() -> None:
    def is_photograph_of(picture: Image.Image) -> bool:
        return is_photograph(hash_variants(encode_picture(picture), ALGORITHMS, Profile.BALANCED).signatures[WHOLE])

    assert is_photograph_of(PHOTO)
    assert is_photograph_of(OTHER)
    assert not is_photograph_of(_card(1))
    assert not is_photograph_of(_flag("red", "white", "navy"))
    assert not is_photograph([])


def test_a_post_with_other_words_is_contradicted_and_a_copy_is_not() -> None:
    assert _verdict(_card(1), _card(2)).contradicted
    for name in ("JPEG 10", "half size", "crop 5 %", "border 5 %", "grey"):
        assert not _verdict(_card(1), ALTERATIONS[name].apply(_card(1))).contradicted, name


def test_a_flag_of_other_colours_is_contradicted_and_a_copy_is_not() -> None:
    flag = _flag("red", "white", "navy")
    assert _verdict(flag, _flag("orange", "white", "green")).contradicted
    assert _verdict(flag, _flag("red", "white", "green")).contradicted
    for name in ("JPEG 10", "half size", "contrast × 0.6", "grey"):
        assert not _verdict(flag, ALTERATIONS[name].apply(flag)).contradicted, name


def _colour(*parts: tuple[int, int]) -> Signature:
    return Signature(Kind.COLOUR, b"".join(bytes([128 + cb, 128 + cr]) for cb, cr in parts * (16 // len(parts))))


def test_a_filter_that_changes_all_colours_equally_makes_no_difference() -> None:
    original = _colour((60, 0), (-40, 20), (0, -50), (10, 40))
    assert colour_difference(original, _colour((30, 0), (-20, 10), (0, -25), (5, 20))) == 0
    assert colour_difference(original, _colour((66, 8), (-34, 28), (6, -42), (16, 48))) < 4
    assert colour_difference(original, _colour((-60, 0), (40, -20), (0, 50), (-10, -40))) > 20


def test_grey_and_evenly_tinted_colours_count_as_grey() -> None:
    assert is_grey(_colour((0, 0)))
    assert is_grey(_colour((-18, 12), (-14, 10)))
    assert not is_grey(_colour((0, 0), (30, 0)))
    assert not is_grey(_colour((-20, 110)))
