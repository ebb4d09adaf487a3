"""Does a server, or a boot ROM, do what the documents and its peers ask of it?  Written without a look at `core`."""
