"""Sampling, recovery of the plain model's draws, diagnostics, and the posterior as a DataTree."""
