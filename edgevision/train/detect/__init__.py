"""What our own detector learns from: augmented photos with boxes, cells that products are given to, losses, and mAP."""
