"""The tables, as the newest migration leaves them. Times are unix milliseconds; JSON is kept as the bytes of the records."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text, UniqueConstraint

metadata = MetaData()

_ID = String(64)

devices = Table(
    "devices",
    metadata,
    Column("id", _ID, primary_key=True),
    # The target in the inventory; "unknown" until one came.
    Column("device_class", _ID, nullable=False),
    Column("first_seen_ms", BigInteger, nullable=False),
    Column("last_seen_ms", BigInteger, nullable=False),
    Column("online", Boolean, nullable=False),
    Column("simulated", Boolean, nullable=False),
    Column("inventory", LargeBinary),
    Column("inventory_digest", String(80)),
    Column("accelerators", Text, nullable=False),
    # What the device declares, and what was said here, which wins; an empty value here takes a declared label away.
    Column("declared_labels", Text, nullable=False),
    Column("labels", Text, nullable=False),
)

statuses = Table(
    "statuses",
    metadata,
    Column("device", _ID, ForeignKey("devices.id"), primary_key=True),
    Column("epoch", String(16), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("stored_ms", BigInteger, nullable=False),
    Column("status", LargeBinary, nullable=False),
)

epochs = Table(
    "epochs",
    metadata,
    Column("device", _ID, ForeignKey("devices.id"), primary_key=True),
    Column("epoch", String(16), primary_key=True),
    Column("up_to", BigInteger, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("lost", BigInteger, nullable=False),
    # Numbers above up_to whose fate is known: JSON [[first, last], …].
    Column("islands", Text, nullable=False),
    # Of the stored, how many were removed since: they are past retention, and their numbers are known for ever.
    Column("pruned", BigInteger, nullable=False, server_default="0"),
    Column("status_revision", BigInteger, nullable=False),
    Column("first_seen_ms", BigInteger, nullable=False),
)

telemetry = Table(
    "telemetry",
    metadata,
    Column("device", _ID, primary_key=True),
    Column("epoch", String(16), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("kind", Integer, nullable=False),
    Column("start_ms", BigInteger, nullable=False),
    Column("model", String(200), nullable=False),
    Column("release", String(200), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("telemetry_by_device", "device", "start_ms"),
    Index("telemetry_by_model", "model", "start_ms"),
    Index("telemetry_by_time", "start_ms"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", _ID, primary_key=True),
    Column("owner", String(200), nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("model", _ID, nullable=False),
    Column("state", String(32), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("rollout", LargeBinary, nullable=False),
    Index("rollouts_by_state", "state", "model"),
)

assignments = Table(
    "assignments",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("device", _ID, ForeignKey("devices.id"), nullable=False),
    Column("deployment", _ID, nullable=False),
    Column("model", _ID, nullable=False),
    # Empty where no rollout asked for it.
    Column("rollout", _ID, nullable=False),
    Column("desired", LargeBinary, nullable=False),
    # What the device goes back to when this is taken back.
    Column("before", LargeBinary, nullable=False),
    Column("assigned_ms", BigInteger, nullable=False),
    # The last that the device reported of it; empty until then.
    Column("state", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    UniqueConstraint("device", "deployment", name="assignments_of_device"),
    Index("assignments_by_rollout", "rollout"),
    Index("assignments_by_model", "device", "model", "id"),
)

desired = Table(
    "desired",
    metadata,
    Column("device", _ID, ForeignKey("devices.id"), primary_key=True),
    Column("model", _ID, primary_key=True),
    Column("deployment", _ID, nullable=False),
    Column("desired", LargeBinary, nullable=False),
)

directives = Table(
    "directives",
    metadata,
    Column("device", _ID, ForeignKey("devices.id"), primary_key=True),
    Column("counter", BigInteger, nullable=False),
    Column("message", LargeBinary, nullable=False),
    Column("issued_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("sent_ms", BigInteger),
    Column("attempts", Integer, nullable=False),
    # When it is to be sent (again), unless the device has said that it knows it.
    Column("due_ms", BigInteger, nullable=False),
    Index("directives_by_due", "due_ms"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", _ID, nullable=False),
    Column("subject", String(200), nullable=False),
    Column("text", Text, nullable=False),
    Index("events_by_subject", "subject", "id"),
    Index("events_by_kind", "kind", "id"),
    Index("events_by_time", "at_ms"),
)
