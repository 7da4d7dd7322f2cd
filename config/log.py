"""How every process logs: structlog; readable in a terminal, JSON lines elsewhere. WARN: nothing lost. ERROR: a human is needed.

Tracebacks show no values of variables: passwords are among them.
"""

import logging
import sys

import structlog
from structlog.tracebacks import ExceptionDictTransformer


def configure(part: str) -> None:
    """Set up logging of this process once, to standard error; `part` names it in every line."""
    terminal = sys.stderr.isatty()
    shown = structlog.dev.RichTracebackFormatter(show_locals=False)
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=shown) if terminal else structlog.processors.JSONRenderer()
    readable = () if terminal else (structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *readable,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(part=part)
