"""The Open Inference Protocol, version 2: what clients of KServe, Triton and OpenVINO Model Server speak."""
