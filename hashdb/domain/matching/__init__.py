"""Matching, values and rules: match, suggestions, neighbours, benign entries, flood guard."""
