"""Picture files → arrays; sizes are known before pixels are decoded."""

from edgevision.decode.pictures import MAX_PIXELS, encode_png, read_image, resize_to_fit

__all__ = ["MAX_PIXELS", "encode_png", "read_image", "resize_to_fit"]
