"""The PyMC backend of hdsl."""
