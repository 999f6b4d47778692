"""Shared modules of the benchmarks: values, engines in separate processes, and the pages of results."""
