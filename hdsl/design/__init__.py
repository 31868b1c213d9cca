"""The design stage: the Study IR, built from text or in Python, and written back as text or JSON."""
