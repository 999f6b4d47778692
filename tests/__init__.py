"""The tests, in which BLAS has one thread: several wait for each other by spinning, beside those of the other tests."""

import os

# Read as NumPy is imported, here and in each process that a test starts.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
