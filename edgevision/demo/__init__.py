"""The demo: rendered products, recognised live."""
