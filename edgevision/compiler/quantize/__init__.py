"""From a float graph to int8 graphs: ranges, recipes, and one emitter for every dialect."""
