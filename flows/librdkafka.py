"""Poller on librdkafka's public C API: message arrays are read by a numba loop, so that no record becomes a Python object.

The library is the one that the confluent-kafka wheel carries. Layout of rd_kafka_message_t as in its rdkafka.h: err int32 @0,
partition int32 @16, payload @24, len @32, offset int64 @56. Rate beside ConfluentPoller's: `fleetpulse bench source`.
"""

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import confluent_kafka
import numba
import numpy as np
import structlog
from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException
from numpy.typing import NDArray

from fleetpulse.codecs.batch import RecordBatch
from fleetpulse.codecs.jit import kernel
from fleetpulse.config.denials import Denials
from fleetpulse.flows.native import call_int64, call_void, copy_bytes, load_int32, load_int64
from fleetpulse.flows.poller import LOOK_S, PASSING_ERRORS, lost

log = structlog.get_logger()

POLL_BYTES = 4 << 20
"""About what a poll takes: what comes of it, twice as much again as rows, is still in the cache when the next step reads it."""
_CONSUMER = 1
_ERRSTR_BYTES = 512
_METADATA_MS = 2_000
_i64 = numba.int64
_ErrorCallback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


@kernel(_i64(_i64[::1], _i64, _i64[::1], _i64[::1], _i64[:, ::1]))
def measure(messages: NDArray[np.int64], n: int, counts: NDArray[np.int64], sizes: NDArray[np.int64], errors: NDArray[np.int64]) -> int:
    """First pass over n message pointers: records and bytes a partition, and the errors among them.

    counts, sizes  (P,) added to; sizes in bytes
    errors         (n, 2) filled with (code, partition); returns how many
    """
    failed = 0
    for i in range(n):
        message = messages[i]
        code, partition = load_int32(message), load_int32(message + 16)
        if code != 0:
            errors[failed, 0], errors[failed, 1] = code, partition
            failed += 1
        else:
            counts[partition] += 1
            sizes[partition] += load_int64(message + 32)
    return failed


@kernel(
    numba.void(_i64[::1], _i64, _i64, _i64, numba.uint8[::1], _i64[::1], _i64[::1], _i64[::1], _i64[::1], _i64[::1], _i64[::1], _i64[::1])
)
def take(
    messages: NDArray[np.int64],
    n: int,
    timestamp_function: int,
    destroy_function: int,
    payload: NDArray[np.uint8],
    ends: NDArray[np.int64],
    offsets: NDArray[np.int64],
    append_ms: NDArray[np.int64],
    row: NDArray[np.int64],
    byte: NDArray[np.int64],
    first_byte: NDArray[np.int64],
    scratch: NDArray[np.int64],
) -> None:
    """Second pass: copy values partition after partition, then give the messages back to librdkafka.

    row, byte   (P,) where the partition's next record goes; moved on
    first_byte  (P,) where its values begin in payload; ends are relative to it
    """
    for i in range(n):
        message = messages[i]
        if load_int32(message) == 0:
            p = load_int32(message + 16)
            length = load_int64(message + 32)
            if length > 0:
                copy_bytes(payload.ctypes.data + byte[p], load_int64(message + 24), length)
            byte[p] += length
            r = row[p]
            row[p] += 1
            ends[r] = byte[p] - first_byte[p]
            offsets[r] = load_int64(message + 56)
            append_ms[r] = call_int64(timestamp_function, message, scratch.ctypes.data)
        call_void(destroy_function, message)


def _load() -> ctypes.CDLL:
    """The wheel's librdkafka. Raises OSError when it is not where the wheel puts it."""
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    files = sorted(folder.glob("librdkafka-*.so*"))
    if not files:
        raise OSError(f"librdkafka must be in {folder}; found none")
    library = ctypes.CDLL(str(files[0]))
    pointer, text, integer = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, arguments in (
        ("conf_new", pointer, []),
        ("conf_set", integer, [pointer, text, text, text, ctypes.c_size_t]),
        ("conf_set_error_cb", None, [pointer, _ErrorCallback]),
        ("new", pointer, [integer, pointer, text, ctypes.c_size_t]),
        ("poll_set_consumer", integer, [pointer]),
        ("topic_new", pointer, [pointer, text, pointer]),
        ("topic_destroy", None, [pointer]),
        ("metadata", integer, [pointer, integer, pointer, pointer, integer]),
        ("metadata_destroy", None, [pointer]),
        ("queue_get_consumer", pointer, [pointer]),
        ("queue_destroy", None, [pointer]),
        ("topic_partition_list_new", pointer, [integer]),
        ("topic_partition_list_add", pointer, [pointer, text, ctypes.c_int32]),
        ("topic_partition_list_set_offset", integer, [pointer, text, ctypes.c_int32, ctypes.c_int64]),
        ("topic_partition_list_destroy", None, [pointer]),
        ("incremental_assign", pointer, [pointer, pointer]),
        ("error_string", text, [pointer]),
        ("error_destroy", None, [pointer]),
        ("incremental_unassign", pointer, [pointer, pointer]),
        ("query_watermark_offsets", integer, [pointer, text, ctypes.c_int32, pointer, pointer, integer]),
        ("pause_partitions", integer, [pointer, pointer]),
        ("resume_partitions", integer, [pointer, pointer]),
        ("commit", integer, [pointer, pointer, integer]),
        ("consume_batch_queue", ctypes.c_ssize_t, [pointer, integer, pointer, ctypes.c_size_t]),
        ("consumer_close", integer, [pointer]),
        ("destroy", None, [pointer]),
    ):
        function = getattr(library, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return library


class LibrdkafkaPoller:
    """Poller without Python work per record."""

    def __init__(self, config: Mapping[str, str | int | float | bool], topic: str, *, max_records: int = 20_000) -> None:
        self._library = _load()
        self._topic = topic.encode()
        self._next: dict[int, int] = {}
        self._paused: set[int] = set()
        self._denials = Denials()
        self._on_error = _ErrorCallback(
            lambda _, code, text, __: self._denials.take(code, (text or b"").decode())
        )  # kept: C holds no reference
        self._handle = self._open(config)
        self._learn_leaders()
        self._queue = self._call("queue_get_consumer", self._handle)
        self._messages = np.zeros(max_records, dtype=np.int64)
        self._errors = np.zeros((max_records, 2), dtype=np.int64)
        self._timestamp = self._address("rd_kafka_message_timestamp")
        self._destroy = self._address("rd_kafka_message_destroy")
        self._scratch = np.zeros(1, dtype=np.int64)
        self._record_bytes = 4096.0  # running mean of what a record holds

    def _call(self, name: str, *arguments: Any) -> Any:
        return getattr(self._library, f"rd_kafka_{name}")(*arguments)

    def _address(self, name: str) -> int:
        return ctypes.cast(getattr(self._library, name), ctypes.c_void_p).value or 0

    def _open(self, config: Mapping[str, str | int | float | bool]) -> int:
        error = ctypes.create_string_buffer(_ERRSTR_BYTES)
        conf = self._call("conf_new")
        for key, value in config.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if self._call("conf_set", conf, key.encode(), text.encode(), error, _ERRSTR_BYTES) != 0:
                raise KafkaException(KafkaError(KafkaError._INVALID_ARG, error.value.decode()))
        self._call("conf_set_error_cb", conf, self._on_error)
        handle: int | None = self._call("new", _CONSUMER, conf, error, _ERRSTR_BYTES)
        if not handle:
            raise KafkaException(KafkaError(KafkaError._FAIL, error.value.decode()))
        self._call("poll_set_consumer", handle)
        return handle

    def _learn_leaders(self) -> None:
        """Ask for the topic's metadata. A partition that is assigned before its leader is known is asked for again after half a second.
        An answer that does not come is no error here: the consumer goes on trying.
        """
        topic = self._call("topic_new", self._handle, self._topic, None)
        metadata = ctypes.c_void_p()
        if self._call("metadata", self._handle, 0, topic, ctypes.byref(metadata), _METADATA_MS) == 0:
            self._call("metadata_destroy", metadata)
        self._call("topic_destroy", topic)

    def _with_partition(self, name: str, partition: int, offset: int | None, *more: int) -> Any:
        """Calls rd_kafka_{name}(handle, list of this partition)."""
        partitions = self._call("topic_partition_list_new", 1)
        self._call("topic_partition_list_add", partitions, self._topic, partition)
        if offset is not None:
            self._call("topic_partition_list_set_offset", partitions, self._topic, partition, offset)
        try:
            return self._call(name, self._handle, partitions, *more)
        finally:
            self._call("topic_partition_list_destroy", partitions)

    def assign(self, partition: int, offset: int) -> None:
        self._next[partition] = offset
        self._raise(self._with_partition("incremental_assign", partition, offset or OFFSET_BEGINNING))

    def _raise(self, error: int | None) -> None:
        """Raises KafkaException for a rd_kafka_error_t."""
        if error:
            message = self._call("error_string", error).decode()
            self._call("error_destroy", error)
            raise KafkaException(KafkaError(KafkaError._FAIL, message))

    def poll(self) -> list[RecordBatch]:
        wanted = max(1, min(len(self._messages), int(POLL_BYTES / self._record_bytes)))
        n = self._call("consume_batch_queue", self._queue, 0, self._messages.ctypes.data, wanted)
        if n <= 0:
            return []
        partitions = max(self._next) + 1
        counts, sizes = np.zeros(partitions, dtype=np.int64), np.zeros(partitions, dtype=np.int64)
        failed = measure(self._messages, n, counts, sizes, self._errors)
        lasting, given_up = self._failures(n) if failed else (None, {})
        last_row, last_byte = np.cumsum(counts), np.cumsum(sizes)
        self._record_bytes += (max(1.0, last_byte[-1] / n) - self._record_bytes) / 4
        row, first_byte = last_row - counts, last_byte - sizes
        payload = np.empty(int(last_byte[-1]), dtype=np.uint8)
        ends, offsets, append_ms = (np.empty(int(last_row[-1]), dtype=np.int64) for _ in range(3))
        byte = first_byte.copy()
        take(
            self._messages,
            n,
            self._timestamp,
            self._destroy,
            payload,
            ends,
            offsets,
            append_ms,
            row,
            byte,
            first_byte,
            self._scratch,
        )
        if lasting is not None:
            raise KafkaException(lasting)
        batches = []
        for p in np.flatnonzero(counts).tolist():
            rows = slice(int(last_row[p] - counts[p]), int(last_row[p]))
            values = payload[int(first_byte[p]) : int(last_byte[p])]
            batches.append(RecordBatch(p, values, ends[rows], offsets[rows], append_ms[rows], self._next[p]))
            self._next[p] = int(offsets[rows][-1]) + 1
        for p, error in given_up.items():
            self._take_up(p, error)
        return batches

    def _failures(self, n: int) -> tuple[KafkaError | None, dict[int, KafkaError]]:
        """Of n messages: the first error that does not pass, and the partitions whose position was given up; in librdkafka's words."""
        lasting, given_up = None, {}
        for address in self._messages[:n].tolist():
            code = ctypes.c_int32.from_address(address).value
            if code == 0 or code in PASSING_ERRORS:
                continue
            text = ctypes.string_at(ctypes.c_void_p.from_address(address + 24).value or 0, ctypes.c_size_t.from_address(address + 32).value)
            error = KafkaError(code, text.decode("utf-8", "replace"))
            if code == KafkaError._AUTO_OFFSET_RESET:
                given_up[ctypes.c_int32.from_address(address + 16).value] = error
            else:
                lasting = lasting or error
        return lasting, given_up

    def _take_up(self, partition: int, error: KafkaError) -> None:
        """Read on at a position that librdkafka gave up. Raises KafkaException when Kafka has not what stands there."""
        offset, low, high = self._next[partition], ctypes.c_int64(0), ctypes.c_int64(0)
        where = (self._topic, partition, ctypes.byref(low), ctypes.byref(high), int(LOOK_S * 1000))
        asked = self._call("query_watermark_offsets", self._handle, *where) == 0  # else librdkafka asks again
        if asked and lost(offset, low.value, high.value):
            raise KafkaException(error)
        log.warning("reading on where Kafka's client gave up", partition=partition, offset=offset, error=error.str())
        self._raise(self._with_partition("incremental_unassign", partition, None))
        self.assign(partition, offset)
        if partition in self._paused:
            self.pause(partition)

    def pause(self, partition: int) -> None:
        self._paused.add(partition)
        self._with_partition("pause_partitions", partition, None)

    def resume(self, partition: int) -> None:
        self._paused.discard(partition)
        self._with_partition("resume_partitions", partition, None)

    def commit(self, partition: int, offset: int) -> None:
        self._with_partition("commit", partition, offset, 1)

    def close(self) -> None:
        self._call("queue_destroy", self._queue)
        self._call("consumer_close", self._handle)
        self._call("destroy", self._handle)
