"""What to offer next: ranks products by a shopper's history, by looks, and by what is bought together."""
