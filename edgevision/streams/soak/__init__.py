"""``edgevision soak``: hours of failing cameras, a broker that goes away and models that change, with a verdict."""
