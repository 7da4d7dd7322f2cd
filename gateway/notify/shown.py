"""What of an address and of a failed request may stand in a log: neither a password nor a path or query that works as one."""

import httpx
from pydantic import AnyHttpUrl


def place(url: AnyHttpUrl) -> str:
    """Scheme, host and port."""
    return f"{url.scheme}://{url.host}:{url.port}"


def reason(error: httpx.HTTPError) -> str:
    """What the server said, if it said something; httpx's own text holds the whole address."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"{error.response.status_code} {error.response.text[:200]}".rstrip()
    return str(error) or type(error).__name__
