"""EdgeVision: recognise products at the edge."""
