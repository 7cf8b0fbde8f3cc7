"""What the service tells as it happens: events of Stations, the camera's picture, and a Station for each browser that sends its own."""
