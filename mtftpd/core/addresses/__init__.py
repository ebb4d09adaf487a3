"""Which addresses there are, and whose they are: leases, what is held back, who is reached at which."""
