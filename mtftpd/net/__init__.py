"""Floor 2: the only place with sockets, interfaces and files."""
