"""Matching, SQL: match, suggestions, neighbours, benign entries, flood guard."""
