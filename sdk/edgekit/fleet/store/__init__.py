"""The fleet's database: each module has functions that take a connection; `Store` runs them in transactions."""
