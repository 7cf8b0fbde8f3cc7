"""What teaching an embedder takes beside the network: losses, batches, a first look at the photos, validation."""
