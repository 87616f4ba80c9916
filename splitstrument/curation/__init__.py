"""Find what is wrong with a dataset and decide on it: checks, listening, statistics, split."""
