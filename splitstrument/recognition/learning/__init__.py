"""How the recogniser learns and is scored: labelled sounds, overlays, network, training, baselines and metrics."""
