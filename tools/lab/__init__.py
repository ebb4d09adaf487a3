"""A laboratory of real clients: network namespaces, virtual machines and other people's programs.

The interop tests and the benchmarks are built on it.  Everything runs in namespaces that it makes and deletes itself.
"""
