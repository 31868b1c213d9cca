"""Data: tables are opened, coerced by kind and bound to the design."""
