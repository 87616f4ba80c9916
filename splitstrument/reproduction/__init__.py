"""The thesis: its published numbers, stand-ins for its data, the report of its queue, its Keras 2 models."""
