"""The vocabulary: frozen values and rules, no I/O, standard library only."""
