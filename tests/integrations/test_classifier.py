"""hashdb as a classifier of python-threatexchange, against a real service."""

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
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite") as service:
        yield service


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXTENSION))
    from hashdb_threatexchange import classifier

    return classifier


def signals(path: Path) -> list[str]:
    return list(map(str, hash_picture(path.read_bytes(), (Algorithm.PDQ, Algorithm.PHASH256)).signals))


def test_a_picture_or_video_gets_the_labels_of_its_matches(service: Service, module: Any, tmp_path: Path) -> None:
    from threatexchange.classifier.classifier import Classifier
    from threatexchange.content_type.photo import PhotoContent
    from threatexchange.content_type.text import TextContent
    from threatexchange.content_type.video import VideoContent

    (video := tmp_path / "film.mp4").write_bytes(film())
    platform = service.caller(name="Platform")
    listed, md5 = signals(PHOTOS[0]), hashlib.md5(film(), usedforsecurity=False).hexdigest()
    first, second, _ = platform.contribute(
        item(signals=listed, labels=["glorification", "manifesto"], severity=2),
        item(signals=listed[:1], labels=["manifesto"], severity=3),
        item(signals=[f"md5:{md5}"], labels=["glorification"], media="video"),
    )
    with listening(service) as url:
        classifier: Classifier = module.HashdbClassifier(url, str(service.caller(Scope.MATCH, name="Other").secret))
        assert (classifier.get_name(), classifier.get_content_types()) == ("hashdb", [PhotoContent, VideoContent])
        result = classifier.classify(PhotoContent, str(PHOTOS[0]))
        assert result.has_match
        assert str(result) == "glorification(pdq 0 phash256 0),manifesto(pdq 0 phash256 0)"
        infos: dict[str, Any] = dict(result.labels)
        assert infos["manifesto"].contributions == [first["id"], second["id"]]
        assert (infos["glorification"].severity, infos["manifesto"].severity) == (2, 3)
        assert str(classifier.classify(VideoContent, str(video))) == "glorification"
        no_match = classifier.classify(PhotoContent, str(PHOTOS[9]))
        assert (no_match.labels, no_match.has_match, str(no_match)) == ({}, False, "None")

        with_transforms: Any = module.HashdbClassifier(url, str(platform.secret), transforms=True)
        results = with_transforms.classify_many(PhotoContent, [str(PHOTOS[9]), str(PHOTOS[0])])
        assert [result.has_match for result in results] == [False, True]
        assert with_transforms.classify_many(PhotoContent, []) == []
        (broken := tmp_path / "broken.jpg").write_bytes(b"no picture")
        # An address is not a file: the classifier fetches nothing.
        for invalid in (str(broken), f"{url}/hma/status"):
            with pytest.raises(UnreadablePicture):
                classifier.classify(PhotoContent, invalid)
        with pytest.raises(ValueError, match="photo and video, not text"):
            classifier.classify(TextContent, "text")


def test_a_key_that_hides_distances_gets_labels_without_distances(service: Service, module: Any) -> None:
    from threatexchange.content_type.photo import PhotoContent

    platform = service.caller(name="Platform")
    platform.contribute(item(signals=signals(PHOTOS[0])))
    hidden = service.key(platform.member, Scope.MATCH, hides_distances=True)
    with listening(service) as url:
        result = module.HashdbClassifier(url, str(hidden.secret)).classify(PhotoContent, str(PHOTOS[0]))
    assert str(result) == "glorification"
    assert result.labels["glorification"].distance == {}


def test_the_classifier_queries_a_sidecar_on_its_socket_without_a_key(module: Any, tmp_path: Path) -> None:
    from threatexchange.content_type.photo import PhotoContent

    with pair_in(tmp_path) as pair:
        pair.other.contribute(item(signals=signals(PHOTOS[0])))
        pair.sync()
        pair.state.on_unix_socket = True
        with listening_at(f"unix://{tmp_path}/s", Sidecar(pair.state, Metrics())):
            classifier: Any = module.HashdbClassifier(f"unix:{tmp_path}/s")
            results = classifier.classify_many(PhotoContent, [str(PHOTOS[0]), str(PHOTOS[9])])
    assert list(map(str, results)) == ["glorification(pdq 0 phash256 0)", "None"]


def test_a_failed_query_raises_an_error_and_gives_no_empty_result(module: Any, tmp_path: Path) -> None:
    from threatexchange.content_type.photo import PhotoContent

    url = f"sqlite:///{tmp_path}/limited.sqlite"
    with service_at(url, rate_limit={Scope.MATCH: "1/hour"}) as limited, listening(limited) as address:
        classifier: Any = module.HashdbClassifier(address, str(limited.caller(Scope.MATCH).secret))
        classifier.classify(PhotoContent, str(PHOTOS[0]))
        with pytest.raises(LimitReached):
            classifier.classify(PhotoContent, str(PHOTOS[0]))
        with pytest.raises(NotAuthenticated):
            module.HashdbClassifier(address, "hdb_wrong").classify(PhotoContent, str(PHOTOS[0]))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        unreachable: Any = module.HashdbClassifier(
            f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=0.2, retries=0
        )
        with pytest.raises(ServiceUnreachable):
            unreachable.classify(PhotoContent, str(PHOTOS[0]))


def test_the_address_and_the_key_come_from_the_environment(
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
        result = module.HashdbClassifier.get_with_default_settings().classify(PhotoContent, str(PHOTOS[0]))
    assert not result.has_match
