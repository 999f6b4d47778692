"""The one thing that setup.cfg cannot say: the index's kernel, compiled where there is a C compiler."""

from setuptools import Extension, setup

KERNEL = Extension(
    "hashdb.index._kernel",
    ["hashdb/index/kernel.c"],
    extra_compile_args=["-O3", "-fvisibility=hidden"],
    # Where it does not compile, the index runs on NumPy.
    optional=True,
    # It is loaded by ctypes and knows nothing of Python, so one fits all.
    py_limited_api=True,
)

setup(ext_modules=[KERNEL])
