"""Statistics, values and rules: counts, hits, reports, overviews."""
