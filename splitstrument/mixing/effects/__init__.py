"""Effects on streams of audio: equalizer, compressor, reverb, limiter; one effect a file.

Every effect is made for one rate and number of channels, takes blocks float32 (n_samples, n_channels) of any size by
``process(block)`` and gives back what is ready; ``finish()`` gives the rest. What comes out is as long as what went in,
aligned to it (look-ahead and latency are taken out), and does not depend on the blocks.
"""
