"""Matching, commands: match, suggestions, neighbours, benign entries, flood guard."""
