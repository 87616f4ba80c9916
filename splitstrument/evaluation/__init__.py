"""Score a model on tracks, beside baselines and oracles, with statistics and reports."""
