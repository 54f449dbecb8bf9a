"""The fleet's first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table of the first version."""
    _make_devices()
    _make_streams()
    _make_leases()
    _make_rollouts()
    _make_desired()
    _make_events()


def _text(name: str, length: int | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.String(length) if length else sa.Text(), nullable=False)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _of_device() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["device"], ["devices.id"])


def _make_devices() -> None:
    op.create_table(
        "devices",
        _text("id", 64),
        _text("device_class", 64),
        _number("first_seen_ms"),
        _number("last_seen_ms"),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("inventory", sa.LargeBinary()),
        sa.Column("inventory_digest", sa.String(80)),
        _text("accelerators"),
        _text("declared_labels"),
        _text("labels"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "statuses",
        _text("device", 64),
        _text("epoch", 16),
        _number("revision"),
        _number("counter"),
        _number("stored_ms"),
        _bytes("status"),
        sa.PrimaryKeyConstraint("device"),
        _of_device(),
    )


def _make_streams() -> None:
    key = ("device", "epoch")
    op.create_table(
        "epochs",
        _text("device", 64),
        _text("epoch", 16),
        *map(_number, ("up_to", "made", "stored", "lost")),
        _text("islands"),
        _number("status_revision"),
        _number("first_seen_ms"),
        sa.PrimaryKeyConstraint(*key),
        _of_device(),
    )
    op.create_table(
        "telemetry",
        _text("device", 64),
        _text("epoch", 16),
        _number("sequence"),
        sa.Column("kind", sa.Integer(), nullable=False),
        _number("start_ms"),
        _text("model", 200),
        _text("release", 200),
        _bytes("data"),
        sa.PrimaryKeyConstraint(*key, "sequence"),
    )
    op.create_index("telemetry_by_device", "telemetry", ["device", "start_ms"])
    op.create_index("telemetry_by_model", "telemetry", ["model", "start_ms"])
    op.create_index("telemetry_by_time", "telemetry", ["start_ms"])


def _make_leases() -> None:
    op.create_table("leases", _text("name", 64), _text("owner", 200), _number("fence"), _number("expires_ms"), sa.PrimaryKeyConstraint("name"))


def _make_rollouts() -> None:
    op.create_table(
        "rollouts",
        _text("id", 64),
        _text("model", 64),
        _text("state", 32),
        _number("created_ms"),
        _number("updated_ms"),
        _bytes("rollout"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("rollouts_by_state", "rollouts", ["state", "model"])


def _make_desired() -> None:
    op.create_table(
        "assignments",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        _text("device", 64),
        _text("deployment", 64),
        _text("model", 64),
        _text("rollout", 64),
        _bytes("desired"),
        _bytes("before"),
        _number("assigned_ms"),
        _text("state", 32),
        _text("reason"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("device", "deployment", name="assignments_of_device"),
        _of_device(),
    )
    op.create_index("assignments_by_rollout", "assignments", ["rollout"])
    op.create_index("assignments_by_model", "assignments", ["device", "model", "id"])
    desired = (_text("device", 64), _text("model", 64), _text("deployment", 64), _bytes("desired"))
    op.create_table("desired", *desired, sa.PrimaryKeyConstraint("device", "model"), _of_device())
    op.create_table(
        "directives",
        _text("device", 64),
        _number("counter"),
        _bytes("message"),
        _number("issued_ms"),
        _number("expires_ms"),
        sa.Column("sent_ms", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _number("due_ms"),
        sa.PrimaryKeyConstraint("device"),
        _of_device(),
    )
    op.create_index("directives_by_due", "directives", ["due_ms"])


def _make_events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        _number("at_ms"),
        _text("kind", 64),
        _text("subject", 200),
        _text("text"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("events_by_subject", "events", ["subject", "id"])
    op.create_index("events_by_kind", "events", ["kind", "id"])
