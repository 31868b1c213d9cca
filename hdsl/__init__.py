"""hdsl: from a declared study design to its causal answer."""
