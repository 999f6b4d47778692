"""The tests, in which BLAS has one thread: several wait for each other by spinning, beside those of the other tests."""

import os

# NumPy reads it as it is imported, here and in each process that a test starts. Scripts that use these modules measure.
if "PYTEST_VERSION" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
