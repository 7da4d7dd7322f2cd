"""Headers of Kafka records as they were written: names and bytes. librdkafka's binding would also allow text and nothing."""

from confluent_kafka import Message


def headers_of(message: Message) -> list[tuple[str, bytes]]:
    """In their order; headers without a value are left out."""
    found = message.headers() or []
    pairs = found.items() if isinstance(found, dict) else found
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs if value is not None]
