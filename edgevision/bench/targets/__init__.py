"""What can be measured: bundles, ONNX files and peers, each behind ``base.Target``."""
