"""The colours of a product, without training: where it is in the picture, what colours it has, and what people call them."""
