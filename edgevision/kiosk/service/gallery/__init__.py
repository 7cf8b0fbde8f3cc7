"""Products by example in the service: its gallery, what is asked of it, what changes it, and teaching it before a camera."""
