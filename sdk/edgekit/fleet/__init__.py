"""The server of a fleet: broker, store, ingest, coordinator, HTTP API and dashboard."""
