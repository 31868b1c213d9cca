"""Programs for the studies of the benchmark as an expert writes them: same model, same priors as the studies."""
