"""The Model IR and how models are derived."""
