"""Statistics, what one may do: counts, hits, reports, overviews."""
