"""Picture files → arrays; what decoding costs is known before pixels are decoded."""

from edgevision.decode.pictures import MAX_DECODE_BYTES, encode_png, read_image, resize_to_fit

__all__ = ["MAX_DECODE_BYTES", "encode_png", "read_image", "resize_to_fit"]
