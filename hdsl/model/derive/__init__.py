"""The parts of the derivation of a Model from a study's design."""
