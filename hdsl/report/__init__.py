"""Results as people read them: summaries, words, tables."""
