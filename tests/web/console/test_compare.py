"""The comparison of two files that a user uploads."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from PIL import ImageOps
from werkzeug.test import TestResponse

from hashdb.domain.accounts.users import Role
from tests import films
from tests.hashing.samples import draw_picture, encode_picture
from tests.web.callers import Service, service_at
from tests.web.console.visitors import Visitor, faults, form_secret, sign_in_new_user
from tests.web.pictures import flat, multipart, photo

PAGE = "/console/compare"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service for all these tests, so that its hashing processes start once."""
    with service_at(None) as service:
        yield service


@pytest.fixture(scope="module")
def otto(service: Service) -> Visitor:
    """An auditor."""
    return sign_in_new_user(service, "otto", Role.AUDITOR)


def compare(visitor: Visitor, first: bytes, second: bytes) -> TestResponse:
    parts = [(f'name="{name}"; filename="a"', octets) for name, octets in (("first", first), ("second", second))]
    secret = form_secret(visitor.get("/console/account"))
    return visitor.client.post(PAGE, **multipart("b", ('name="csrf"', secret.encode()), *parts), buffered=True)


def verdict(page: TestResponse) -> str:
    match = re.search(r">Would match: ([^<]*)<", page.text)
    assert match, page.text
    return match[1]


def rows(page: TestResponse) -> list[str]:
    """Return the text of each row of the page's tables."""
    rows_html = re.findall(r"<tr[^>]*>(.*?)</tr>", page.text, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in rows_html if "<td" in row]


def test_two_pictures_are_compared_by_their_hashes_forms_and_signatures(service: Service, otto: Visitor) -> None:
    before = service.rows()
    page = compare(otto, encode_picture(ImageOps.mirror(draw_picture(seed=7))), photo(7))
    assert verdict(page) == "yes, by pdq and phash256"
    assert rows(page)[:2] == ["pdq 122 radius 31 no", "phash256 124 radius 46 no"]
    assert "mirror whole pdq 0 radius 31 yes" in rows(page)
    assert 'data-turn="mirror" data-window="0.0 0.0 1.0 1.0"' in page.text
    assert "detail differs by 0 %" in page.text
    assert service.rows() == before


def test_different_pictures_do_not_match(otto: Visitor) -> None:
    page = compare(otto, photo(7), photo(8))
    assert verdict(page) == "no, too far"
    assert "their signatures do not show how to align them" in page.text


def test_a_flat_picture_is_reported_as_not_contributable(otto: Visitor) -> None:
    page = compare(otto, photo(7), flat())
    assert verdict(page) == "no, the second cannot be contributed"
    assert "Quality 0 is too low" in page.text


def test_two_videos_are_shown_with_time_lines_joined_by_segments(service: Service, otto: Visitor) -> None:
    before = service.rows()
    shared, other = films.pictures(1, 6.0), films.pictures(2, 2.0)
    page = compare(otto, films.encoded((*other, *shared[20:])), films.film(1, 6.0))
    assert verdict(page) == "yes, by 1 segment"
    assert "Two time lines, of 0:06 and 0:06, joined by 1 segment" in page.text
    times = re.findall(r'data-times="([^"]*)"', page.text)
    assert [list(map(float, pair.split())) for pair in times] == [pytest.approx([4.0, 4.0], abs=0.3)] * 2
    assert service.rows() == before


def test_a_picture_and_a_video_that_shows_it_match_in_either_order(otto: Visitor) -> None:
    still, video = encode_picture(films.pictures(1, 4.0)[25]), films.film(1, 4.0)
    page = compare(otto, still, video)
    assert re.fullmatch(r"yes, the second shows it \d times?", verdict(page))
    assert "The second shows the first at 0:02" in page.text
    page = compare(otto, video, still)
    assert re.fullmatch(r"yes, by \d frames", verdict(page))
    assert "The first shows the second at 0:02" in page.text


def test_different_videos_do_not_match(otto: Visitor) -> None:
    assert verdict(compare(otto, films.film(1, 4.0), films.film(2, 4.0))) == "no, too far"


def test_each_invalid_file_is_reported_at_its_field(otto: Visitor) -> None:
    assert set(faults(compare(otto, b"", b""))) == {"first", "second"}
    assert set(faults(otto.post(PAGE, {"first": "text"}))) == {"first", "second"}
    page = compare(otto, photo(), b"not a picture")
    assert set(faults(page)) == {"second"} and "file[" not in page.text
    assert set(faults(compare(otto, films.film(seconds=4.0)[:600], photo()))) == {"first"}


def test_disallowed_and_too_large_files_are_rejected() -> None:
    with service_at(None, accept_media=False) as service:
        otto = sign_in_new_user(service, "otto", Role.AUDITOR)
        assert 'type="file"' not in otto.get(PAGE).text
        assert set(faults(compare(otto, photo(), photo()))) == {"first", "second"}
    with service_at(None, media_max_bytes=1_024) as service:
        otto = sign_in_new_user(service, "otto", Role.AUDITOR)
        assert set(faults(compare(otto, photo(), flat()))) == {"first"}


def test_only_this_page_may_play_local_videos(otto: Visitor) -> None:
    policies = [otto.get(path).headers["Content-Security-Policy"] for path in (PAGE, "/console/debugger")]
    assert [policy.partition("; media-src ")[2] for policy in policies] == ["blob:", ""]
    assert policies[0].startswith(policies[1])
