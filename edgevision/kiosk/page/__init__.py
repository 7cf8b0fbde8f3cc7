"""The kiosk's page: static files, and what it needs of the service."""
