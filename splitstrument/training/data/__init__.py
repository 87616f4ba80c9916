"""From audio files to the batches of a training."""
