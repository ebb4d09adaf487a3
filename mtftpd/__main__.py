"""``python -m mtftpd``."""

from mtftpd.cli import main

main()
