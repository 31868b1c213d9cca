"""The NumPy reference: what every function, distribution and Model means. The oracle for all backends."""
