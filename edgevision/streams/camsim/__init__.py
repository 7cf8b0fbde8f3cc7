"""Real RTSP cameras on this machine whose pictures carry their own truth, and that fail when they are told to."""
