"""What an algorithm, a radius, variants and transforms recognise of altered pictures, and what they cost."""
