"""Who is kept present, and what to say next: pure, no clock, no socket, no logger."""
