"""Evaluation: which altered pictures an algorithm, a radius, variants and transforms recognise, and at what cost."""
