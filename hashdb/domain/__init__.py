"""The vocabulary: frozen values and rules, no I/O; the standard library, and NumPy to align items with frames."""
