"""Who boots, and how far it is: programs, machines with several interfaces, the life cycle of a boot, alarms."""
