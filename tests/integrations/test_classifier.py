"""hashdb as a classifier of python-threatexchange, against a service that listens."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.domain.signals import Algorithm
from hashdb.errors import LimitReached, NotAuthenticated, ServiceUnreachable, UnreadablePicture
from hashdb.hashing import hash_picture
from hashdb.sidecar.application import Sidecar
from hashdb.sidecar.metrics import Metrics
from tests.cli.conftest import PHOTOS
from tests.films import film
from tests.sidecar.conftest import pair_in
from tests.snippets import EXTENSION
from tests.web.callers import Service, item, service_at
from tests.web.sharing.served import listening, listening_at

pytest.importorskip("threatexchange")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite") as made:
        yield made


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXTENSION))
    from hashdb_threatexchange import classifier

    return classifier


def signals(path: Path) -> list[str]:
    return list(map(str, hash_picture(path.read_bytes(), (Algorithm.PDQ, Algorithm.PHASH256)).signals))


def test_pictures_and_videos_get_the_labels_of_what_they_match(service: Service, module: Any, tmp_path: Path) -> None:
    from threatexchange.classifier.classifier import Classifier
    from threatexchange.content_type.photo import PhotoContent
    from threatexchange.content_type.text import TextContent
    from threatexchange.content_type.video import VideoContent

    (video := tmp_path / "film.mp4").write_bytes(film())
    platform = service.caller(name="Platform")
    listed, md5 = signals(PHOTOS[0]), hashlib.md5(film(), usedforsecurity=False).hexdigest()
    one, two, _ = platform.contribute(
        item(signals=listed, labels=["glorification", "manifesto"], severity=2),
        item(signals=listed[:1], labels=["manifesto"], severity=3),
        item(signals=[f"md5:{md5}"], labels=["glorification"], media="video"),
    )
    with listening(service) as url:
        asking: Classifier = module.HashdbClassifier(url, str(service.caller(Scope.MATCH, name="Other").secret))
        assert (asking.get_name(), asking.get_content_types()) == ("hashdb", [PhotoContent, VideoContent])
        found = asking.classify(PhotoContent, str(PHOTOS[0]))
        assert found.has_match
        assert str(found) == "glorification(pdq 0 phash256 0),manifesto(pdq 0 phash256 0)"
        infos: dict[str, Any] = dict(found.labels)
        assert infos["manifesto"].contributions == [one["id"], two["id"]]
        assert (infos["glorification"].severity, infos["manifesto"].severity) == (2, 3)
        assert str(asking.classify(VideoContent, str(video))) == "glorification"
        nothing = asking.classify(PhotoContent, str(PHOTOS[9]))
        assert (nothing.labels, nothing.has_match, str(nothing)) == ({}, False, "None")

        many: Any = module.HashdbClassifier(url, str(platform.secret), transforms=True)
        results = many.classify_many(PhotoContent, [str(PHOTOS[9]), str(PHOTOS[0])])
        assert [one.has_match for one in results] == [False, True]
        assert many.classify_many(PhotoContent, []) == []
        (broken := tmp_path / "broken.jpg").write_bytes(b"no picture")
        # An address is no file: nothing is fetched.
        for wrong in (str(broken), f"{url}/hma/status"):
            with pytest.raises(UnreadablePicture):
                asking.classify(PhotoContent, wrong)
        with pytest.raises(ValueError, match="photo and video, not text"):
            asking.classify(TextContent, "text")


def test_a_key_that_is_told_no_distance_gets_labels_without(service: Service, module: Any) -> None:
    from threatexchange.content_type.photo import PhotoContent

    platform = service.caller(name="Platform")
    platform.contribute(item(signals=signals(PHOTOS[0])))
    hidden = service.key(platform.member, Scope.MATCH, hides_distances=True)
    with listening(service) as url:
        found = module.HashdbClassifier(url, str(hidden.secret)).classify(PhotoContent, str(PHOTOS[0]))
    assert str(found) == "glorification"
    assert found.labels["glorification"].distance == {}


def test_a_sidecar_is_asked_on_its_socket_without_a_key(module: Any, tmp_path: Path) -> None:
    from threatexchange.content_type.photo import PhotoContent

    with pair_in(tmp_path) as pair:
        pair.other.contribute(item(signals=signals(PHOTOS[0])))
        pair.sync()
        pair.state.on_socket = True
        with listening_at(f"unix://{tmp_path}/s", Sidecar(pair.state, Metrics())):
            asking: Any = module.HashdbClassifier(f"unix:{tmp_path}/s")
            results = asking.classify_many(PhotoContent, [str(PHOTOS[0]), str(PHOTOS[9])])
    assert list(map(str, results)) == ["glorification(pdq 0 phash256 0)", "None"]


def test_no_answer_is_an_error_and_not_a_result_without_labels(module: Any, tmp_path: Path) -> None:
    from threatexchange.content_type.photo import PhotoContent

    url = f"sqlite:///{tmp_path}/limited.sqlite"
    with service_at(url, rate_limit={Scope.MATCH: "1/hour"}) as limited, listening(limited) as address:
        asking: Any = module.HashdbClassifier(address, str(limited.caller(Scope.MATCH).secret))
        asking.classify(PhotoContent, str(PHOTOS[0]))
        with pytest.raises(LimitReached):
            asking.classify(PhotoContent, str(PHOTOS[0]))
        with pytest.raises(NotAuthenticated):
            module.HashdbClassifier(address, "hdb_wrong").classify(PhotoContent, str(PHOTOS[0]))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        away: Any = module.HashdbClassifier(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=0.2, retries=0)
        with pytest.raises(ServiceUnreachable):
            away.classify(PhotoContent, str(PHOTOS[0]))


def test_the_address_and_the_key_are_those_of_the_environment(
    service: Service, module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from threatexchange.content_type.photo import PhotoContent

    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("TX_HASHDB_URL", "TX_HASHDB_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match="TX_HASHDB_URL"):
        module.HashdbClassifier.get_with_default_settings()
    with listening(service) as url:
        monkeypatch.setenv("TX_HASHDB_URL", url)
        with pytest.raises(NotAuthenticated):
            module.HashdbClassifier.get_with_default_settings().classify(PhotoContent, str(PHOTOS[0]))
        monkeypatch.setenv("TX_HASHDB_KEY", f"{url}={service.caller(name='Platform').secret}")
        found = module.HashdbClassifier.get_with_default_settings().classify(PhotoContent, str(PHOTOS[0]))
    assert not found.has_match
