"""What the benchmarks share: values, engines in processes of their own, and the writing of results."""
