"""Telemetry and events that are past retention are removed: each epoch counts its own that were, and events are found by time."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Nothing was removed so far."""
    op.add_column("epochs", sa.Column("pruned", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("events_by_time", "events", ["at_ms"])
