"""The clinic: a boot server that examines one machine, boot by boot, and writes down what its ROM can bear.

The heart is sans-I/O: `examination` takes datagrams and the time and returns effects; `probes` is the table of what is
tried; `shell` has the sockets.  It reads documents and quirk records, and nothing of the server that this package is.
"""
