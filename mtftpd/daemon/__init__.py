"""Floor 3: configuration and the wiring that runs the core on real sockets."""
