"""Networks, masks and losses: arrays and settings, never paths.

`settings` describes a network without importing Keras; `build` makes it. Every network maps magnitudes
``(batch, n_bins, n_frames, 1)`` of one chunk to masks ``(batch, n_bins, n_frames, n_outputs)``.
"""
