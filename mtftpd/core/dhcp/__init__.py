"""DHCP, BOOTP and PXE boot server discovery: who asks, what is answered, where the answer goes."""
