"""The kiosk's service: HTTP for apps in other programs and languages, and for the page."""
