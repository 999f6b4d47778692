"""Matching, what one may do: match, suggestions, neighbours, benign entries, flood guard."""
