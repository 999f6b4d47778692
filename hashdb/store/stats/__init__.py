"""Statistics, SQL: counts, hits, reports, overviews."""
