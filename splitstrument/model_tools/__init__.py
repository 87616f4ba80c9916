"""Tools for finished models: export to ONNX, int8, float16, adaptation to a song."""
