"""The one thing that setup.cfg cannot say: what is written in C, compiled where there is a compiler."""

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

LANCZOS = Extension(
    "hashdb.hashing._lanczos",
    ["hashdb/hashing/lanczos.c"],
    extra_compile_args=["-O3", "-fvisibility=hidden", "-ffp-contract=off"],
    libraries=["m"],
    # Where it does not compile, Pillow reduces pictures.
    optional=True,
    py_limited_api=True,
)

setup(ext_modules=[KERNEL, LANCZOS])
