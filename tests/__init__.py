"""The tests. BLAS uses one thread in them: several would spin while they wait, and take time from the other tests."""

import os

# NumPy reads the variable at its import, here and in each process that a test starts. Scripts that import these modules
# measure times, so they keep all threads.
if "PYTEST_VERSION" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
