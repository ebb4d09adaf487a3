"""Floor 1: the clients as state machines, read from the documents and never from ``mtftpd.core``."""
