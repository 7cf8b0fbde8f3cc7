"""A bundle at work: a variant opened in its engine, frames run through it, golden frames checked, variants measured."""
