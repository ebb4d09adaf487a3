"""Floor 2: a network in virtual time, between the server's machines and the ROMs', both as they are."""
