"""Our own detector: the network, what it learns from, and how it is taught."""
