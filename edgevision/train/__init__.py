"""Fine-tuning, and the checkpoint format."""
