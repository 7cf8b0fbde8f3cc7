"""Picture files → arrays; sizes are known before pixels are decoded. And what callers pass as a picture → frames."""

from edgevision.decode.inputs import Picture, item_to_frame, pictures_in, to_frame
from edgevision.decode.pictures import MAX_DECODE_BYTES, encode_png, image_size, read_image, resize_to_fit

__all__ = [
    "MAX_DECODE_BYTES",
    "Picture",
    "encode_png",
    "image_size",
    "item_to_frame",
    "pictures_in",
    "read_image",
    "resize_to_fit",
    "to_frame",
]
