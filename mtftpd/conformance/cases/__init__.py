"""The cases of the suites, a module for each group of requirements; `mtftpd.conformance.registry` finds them."""
