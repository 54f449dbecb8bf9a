"""How bytes come to this machine: one port, and an adapter for each kind of source."""
