"""Evaluation: which altered pictures and copies of videos and texts are recognised, and at what cost."""
