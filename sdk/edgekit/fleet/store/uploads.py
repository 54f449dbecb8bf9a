"""What devices sent, taken into the store: fenced by leases, idempotent, and answered by what is stored now."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Row, and_, select, tuple_
from sqlalchemy.engine import Connection

from edgekit.errors import WireError
from edgekit.fleet.store.booking import Book, book_batch
from edgekit.fleet.store.devices import mark_offline, see_devices, store_inventory
from edgekit.fleet.store.dialects import insert_or_ignore, upsert
from edgekit.fleet.store.directives import find_counter, hasten_directive
from edgekit.fleet.store.events import LoggedEvent, append_events
from edgekit.fleet.store.leases import Lease, check_lease
from edgekit.fleet.store.rollouts import report_deployment
from edgekit.fleet.store.tables import devices, epochs, statuses, telemetry
from edgekit.status import DeviceInventory, DeviceStatus, Stored
from edgekit.telemetry import Batch, Event, Interval, encode_record

#: The epoch of a device that has not told any: a last will has none, and an inventory neither.
NO_EPOCH = "0" * 16
INTERVAL, EVENT = 1, 2
#: How far ahead of the clock the counter may be of a directive that nobody here remembers, in milliseconds: the clock of a server
#: that was restored since may have been wrong. Whoever says more would use the counters up, and the device could never be told anything.
_AHEAD_MS = 10 * 365 * 86_400_000
#: How long a device that refused what it should have is left alone, in milliseconds.
_REFUSED_MS = 60_000


class SentInventory(NamedTuple):
    """An inventory, and the digest of the bytes in which it came."""

    inventory: DeviceInventory
    digest: str


Upload: TypeAlias = tuple[str, Batch | DeviceStatus | SentInventory]


class Receipt(NamedTuple):
    """What became of some uploads: what each device is told, which were refused and why, and how many records were new or not.

    *reported* are the devices whose status changed something.
    """

    answers: list[tuple[str, Stored]]
    refused: list[tuple[str, WireError]]
    stored: int
    duplicates: int
    reported: frozenset[str]


def store_uploads(connection: Connection, held: Iterable[Lease], uploads: Sequence[Upload], now_ms: int) -> Receipt:
    """Take in *uploads*, in the order in which they came, under the leases of their shards.

    A status is new when its revision is above the highest stored one of its epoch, so that one that is delivered late or twice
    never takes the place of a newer.

    Raises:
        LeaseLost: one of the leases is another's by now; nothing is written.
    """
    for lease in held:
        check_lease(connection, lease)
    uploads, unbelieved = _sift(connection, uploads, now_ms)
    see_devices(connection, [device for device, body in uploads if not _is_will(body)], now_ms)
    streams = _Streams(connection, uploads, now_ms)
    batches = [(device, body) for device, body in uploads if isinstance(body, Batch)]
    stored, refused = _store_batches(connection, streams, batches)
    newest = dict(uploads)
    # A will that something followed is that of a connection which has been followed by another.
    told = [body for device, body in uploads if isinstance(body, DeviceStatus) and (body.online or newest[device] is body)]
    reported = {status.device for status in told if _store_status(connection, streams, status, now_ms)}
    for _, body in uploads:
        if isinstance(body, SentInventory):
            store_inventory(connection, body.inventory, body.digest)
    streams.save()
    sent = sum(len(body.records) for _, body in batches)
    return Receipt(_answer(connection, streams, uploads), unbelieved + refused, stored, sent - stored, frozenset(reported))


def _sift(connection: Connection, uploads: Sequence[Upload], now_ms: int) -> tuple[list[Upload], list[tuple[str, WireError]]]:
    """The uploads without each status that speaks of a directive which there cannot have been, and of these why not."""
    believed: list[Upload] = []
    refused = []
    for device, body in uploads:
        if isinstance(body, DeviceStatus) and body.counter > now_ms + _AHEAD_MS and body.counter > find_counter(connection, device):
            refused.append((device, WireError(f"status of {device}", f"no directive has ever had its counter {body.counter}")))
        else:
            believed.append((device, body))
    return believed, refused


def _is_will(body: object) -> bool:
    return isinstance(body, DeviceStatus) and not body.online


class _Stream(NamedTuple):
    book: Book
    status_revision: int
    first_seen_ms: int


class _Streams:
    """The streams that some uploads touch, read at once and written at once."""

    def __init__(self, connection: Connection, uploads: Sequence[Upload], now_ms: int) -> None:
        self._connection = connection
        touched = {(device, body.epoch) for device, body in uploads if not isinstance(body, SentInventory) and not _is_will(body)}
        self.keys = sorted(touched)
        self._streams = dict.fromkeys(self.keys, _Stream(Book(), -1, now_ms)) | self._load()

    def _load(self) -> dict[tuple[str, str], _Stream]:
        query = select(epochs).where(tuple_(epochs.c.device, epochs.c.epoch).in_(self.keys))
        return {(row.device, row.epoch): _Stream(_read_book(row), row.status_revision, row.first_seen_ms) for row in self._connection.execute(query)}

    def __getitem__(self, key: tuple[str, str]) -> _Stream:
        return self._streams[key]

    def keep_book(self, key: tuple[str, str], book: Book) -> None:
        self._streams[key] = self._streams[key]._replace(book=book)

    def keep_revision(self, key: tuple[str, str], revision: int) -> None:
        self._streams[key] = self._streams[key]._replace(status_revision=revision)

    def save(self) -> None:
        upsert(self._connection, epochs, [_make_row(key, stream) for key, stream in self._streams.items()])


def _read_book(row: Row[Any]) -> Book:
    islands = msgspec.json.decode(row.islands, type=tuple[tuple[int, int], ...])
    return Book(up_to=row.up_to, made=row.made, stored=row.stored, lost=row.lost, islands=islands)


def _make_row(key: tuple[str, str], stream: _Stream) -> dict[str, Any]:
    book = stream.book
    counts = {"up_to": book.up_to, "made": book.made, "stored": book.stored, "lost": book.lost}
    islands = msgspec.json.encode(book.islands).decode()
    seen = {"status_revision": stream.status_revision, "first_seen_ms": stream.first_seen_ms}
    return {"device": key[0], "epoch": key[1], "islands": islands, **counts, **seen}


def _store_batches(connection: Connection, streams: _Streams, batches: Sequence[tuple[str, Batch]]) -> tuple[int, list[tuple[str, WireError]]]:
    rows: list[dict[str, Any]] = []
    happened: list[LoggedEvent] = []
    refused: list[tuple[str, WireError]] = []
    for device, batch in batches:
        try:
            book, new = book_batch(streams[device, batch.epoch].book, batch)
        except WireError as error:
            refused.append((device, error))
            continue
        streams.keep_book((device, batch.epoch), book)
        rows += [_make_record(device, batch.epoch, record) for record in new]
        happened += [_log(device, record) for record in new if isinstance(record, Event)]
    insert_or_ignore(connection, telemetry, rows)
    append_events(connection, happened)
    return len(rows), refused


def _make_record(device: str, epoch: str, record: Interval | Event) -> dict[str, Any]:
    key = {"device": device, "epoch": epoch, "sequence": record.sequence, "data": encode_record(record)}
    if isinstance(record, Interval):
        return {**key, "kind": INTERVAL, "start_ms": record.start_ms, "model": record.model, "release": record.release}
    return {**key, "kind": EVENT, "start_ms": record.at_ms, "model": record.model, "release": ""}


def _log(device: str, event: Event) -> LoggedEvent:
    text = f"{event.model}: {event.text}" if event.model else event.text
    return LoggedEvent(at_ms=event.at_ms, kind=event.kind, subject=device, text=text)


def _store_status(connection: Connection, streams: _Streams, status: DeviceStatus, now_ms: int) -> bool:
    if not status.online:
        return _store_will(connection, status)
    # Also when it says nothing new: who connects again after a while has sent it before, and should be answered at once.
    # One that it has just refused would be refused again, so that one may wait.
    hasten_directive(connection, status.device, status.counter, now_ms, _REFUSED_MS if status.refused else 0)
    key = (status.device, status.epoch)
    if status.revision <= streams[key].status_revision:
        return False
    streams.keep_revision(key, status.revision)
    row = {"device": status.device, "epoch": status.epoch, "revision": status.revision, "counter": status.counter}
    upsert(connection, statuses, [{**row, "stored_ms": now_ms, "status": status.encode()}])
    for model in status.models:
        if model.deployment is not None:
            report_deployment(connection, status.device, model.deployment)
    return True


def _store_will(connection: Connection, will: DeviceStatus) -> bool:
    """A will that names an epoch other than the newest is that of a process that has been followed by another."""
    newest = connection.execute(select(statuses.c.epoch).where(statuses.c.device == will.device)).scalar_one_or_none()
    if will.epoch not in (NO_EPOCH, newest):
        return False
    mark_offline(connection, [will.device])
    return True


def _answer(connection: Connection, streams: _Streams, uploads: Sequence[Upload]) -> list[tuple[str, Stored]]:
    """One answer for each stream that was touched. An inventory names no stream, and is answered under that of the newest status."""
    names = {device for device, body in uploads if not _is_will(body)}
    digests = _find_digests(connection, names)
    answers = {key: (streams[key].book.up_to, streams[key].status_revision) for key in streams.keys}
    for device in {device for device, body in uploads if isinstance(body, SentInventory)} - {device for device, _ in answers}:
        answers |= _find_newest(connection, device)
    return [
        (device, Stored(epoch=epoch, up_to=up_to, status_revision=max(0, revision), inventory=digests[device]))
        for (device, epoch), (up_to, revision) in sorted(answers.items())
    ]


def _find_digests(connection: Connection, names: Iterable[str]) -> dict[str, str | None]:
    rows = connection.execute(select(devices.c.id, devices.c.inventory_digest).where(devices.c.id.in_(names)))
    return {row.id: row.inventory_digest for row in rows}


def _find_newest(connection: Connection, device: str) -> dict[tuple[str, str], tuple[int, int]]:
    same = and_(epochs.c.device == statuses.c.device, epochs.c.epoch == statuses.c.epoch)
    query = select(epochs.c.epoch, epochs.c.up_to, epochs.c.status_revision).join(statuses, same).where(epochs.c.device == device)
    row = connection.execute(query).one_or_none()
    return {(device, NO_EPOCH): (0, 0)} if row is None else {(device, row.epoch): (row.up_to, row.status_revision)}
