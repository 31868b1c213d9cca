"""The NumPyro backend of hdsl."""
