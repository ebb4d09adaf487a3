"""What is known of boot ROMs: their faults, what the server does about each, and how a simulated ROM shows it.

Floor 0, shared by ``core`` and ``rom``: it holds facts and names, no behaviour.  `vocabulary` is the closed set of
server actions and of client mutations, `records` has one record per quirk, `profiles` one per client, and `matching`
finds the profile of a packet.
"""
