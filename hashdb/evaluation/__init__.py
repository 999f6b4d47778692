"""Evaluation: which altered pictures and which copies of videos are recognised, and at what cost."""
