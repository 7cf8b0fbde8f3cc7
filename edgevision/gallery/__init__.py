"""Products by example: a gallery of vectors that learns a product from a few photos, and what is searched in it."""
