"""What a process exports, as Prometheus reads it."""

from urllib.error import URLError
from urllib.request import urlopen


def scrape(port: int) -> dict[str, float]:
    """Series -> value; nothing while nobody listens on the port."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            text = response.read().decode()
    except (URLError, ConnectionError):
        return {}
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}
