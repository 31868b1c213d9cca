"""The Stan backend of hdsl."""
