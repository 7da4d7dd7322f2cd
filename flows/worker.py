"""One process of one dataflow: builds it and runs it on Bytewax until its source ends or a signal asks it to stop.

Started by the supervisor as `python -m fleetpulse.flows.worker NAME --process I --addresses HOST:PORT,...`. A failure is one line in
the log; the exit code says whether another try may help.
"""

import argparse
import ctypes
import importlib
import os
import signal
import sys
import traceback
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import structlog
from bytewax.run import cli_main
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import start_http_server

from fleetpulse.codecs.errors import RefusedError
from fleetpulse.config.fleet import load_fleet
from fleetpulse.config.log import configure
from fleetpulse.config.settings import ConfigError, load
from fleetpulse.flows import recovery, tuning
from fleetpulse.flows.stop import Stop
from fleetpulse.flows.supervisor import NAMES, REFUSED

log = structlog.get_logger()

FAILED, PEER_GONE = 1, 3
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """The kernel kills this process when its supervisor dies, however that happens (Linux prctl)."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or parent == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    parser = argparse.ArgumentParser(prog="fleetpulse.flows.worker")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--process", type=int, required=True)
    parser.add_argument("--addresses", required=True)
    parser.add_argument("--store", type=Path, required=True)
    arguments = parser.parse_args()
    die_with_parent()
    configure(f"flow.{arguments.name}")
    stop = Stop()
    stop.on_signals()
    try:
        run(arguments.name, arguments.process, arguments.addresses.split(","), arguments.store, stop)
    except BaseException as error:  # a Rust panic is one, too
        end(error)


def run(name: str, process: int, addresses: list[str], store: Path, stop: Stop) -> None:
    """Build the dataflow and run it to its end."""
    settings = load()
    if settings.flow.metrics_port:
        port = settings.flow.metrics_port + NAMES.index(name) * settings.flow.processes + process
        start_http_server(port, addr="127.0.0.1")
    build = importlib.import_module(f"fleetpulse.flows.{name}").build
    flow = build(settings, load_fleet(), stop=stop)
    tuning.settle()
    alone = len(addresses) == 1
    cli_main(  # type: ignore[no-untyped-call]
        flow,
        process_id=None if alone else process,
        addresses=None if alone else addresses,
        epoch_interval=timedelta(seconds=settings.flow.epoch_s),
        recovery_config=recovery.config(store),
    )


def end(error: BaseException) -> NoReturn:
    """Say why, and exit at once: what Kafka's clients still hold is not waited for, since the epoch is lost anyway."""
    cause = root(error)
    if type(cause).__name__ == "PanicException":
        log.warning("a peer of the flow is gone, or Bytewax failed; this process ends with it", error=str(cause))
        code = PEER_GONE
    elif refused(cause):
        log.error("the flow cannot go on; see docs/operations.md", error=one_line(cause))
        code = REFUSED
    else:
        expected = isinstance(cause, KafkaException | OSError | ConfigError)
        where = {} if expected else {"traceback": "".join(traceback.format_exception(cause))}
        log.error("the flow failed", error=one_line(cause), **where)
        code = FAILED
    sys.stderr.flush()
    os._exit(code)


def root(error: BaseException) -> BaseException:
    """Bytewax wraps what our steps raise; the innermost is ours."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def refused(cause: BaseException) -> bool:
    """Whether another try would end the same way until a human changed something."""
    return gone(cause) or isinstance(cause, RefusedError | ConfigError)


def gone(cause: BaseException) -> bool:
    """Whether Kafka has deleted the records that come next, or never had them."""
    return isinstance(cause, KafkaException) and cause.args[0].code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE)


def one_line(cause: BaseException) -> str:
    """Type and text of an error."""
    if gone(cause):
        return "Kafka must have the records that come next in the flow's topic; it has not (deleted by age, or the topic was made anew)"
    text = cause.args[0].str() if isinstance(cause, KafkaException) and isinstance(cause.args[0], KafkaError) else str(cause)
    return f"{type(cause).__name__}: {' '.join(text.split())}"


if __name__ == "__main__":
    main()
