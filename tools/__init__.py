"""Helpers for people who work on mtftpd; nothing here is needed at run time."""
