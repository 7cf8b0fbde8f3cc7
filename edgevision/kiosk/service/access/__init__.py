"""Who may reach the service, and how much of it anybody may use: addresses, names, tokens, TLS, sizes and times."""
