"""What becomes of products over time: tracks, zones and lines, inventory events; and the barcodes that they carry."""
