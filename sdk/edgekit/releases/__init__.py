"""Releases: a bundle with a version, signed by its publisher and verified by whoever fetches it (TUF)."""
