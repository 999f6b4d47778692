"""Pictures measured in several processes."""

from __future__ import annotations

import os

import numpy as np

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.samples import Job, Sample, Unfit
from hashdb.evaluation.schemes import Scheme
from hashdb.evaluation.workers import measure_all
from hashdb.hashing import Limits
from tests.evaluation.photos import PHOTOS


def test_two_processes_find_what_one_does_in_the_same_order() -> None:
    scheme = Scheme((Algorithm.PDQ,), ("plain",), ("noise 10", "10 % off one side"))
    paths = [*PHOTOS[:8], PHOTOS[0].parent / "missing.jpg", PHOTOS[8]]
    jobs = [Job(place, path, PHOTOS[9], Limits()) for place, path in enumerate(paths)]
    before = dict(os.environ)
    alone, together = (list(measure_all(jobs, scheme, processes)) for processes in (1, 2))
    assert dict(os.environ) == before
    assert [found.place for found in together] == list(range(len(paths)))
    for one, other in zip(alone, together, strict=True):
        if isinstance(one, Unfit):
            assert one == other
        else:
            assert isinstance(other, Sample)
            np.testing.assert_array_equal(one.distances, other.distances)
            np.testing.assert_array_equal(one.asked[Algorithm.PDQ], other.asked[Algorithm.PDQ])
    assert isinstance(together[8], Unfit)
