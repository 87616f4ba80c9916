"""Take a song apart with a model, block by block, under the lossless contract."""
