"""Model files: what is in them, and the float ONNX graph that comes out."""
