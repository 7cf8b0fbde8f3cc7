"""Words for a gallery: products found by their names and fields, by what a text means, and by what pictures look like."""
