"""Migrations of the fleet's database, run by Alembic when a store is opened."""
