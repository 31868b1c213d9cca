"""Explicit equations of a `model` block, part by part, on their way to a Model."""
