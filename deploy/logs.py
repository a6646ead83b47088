"""Structured logs: one JSON line an event on stderr, with the process's name; never a person's data."""

import logging
import sys

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

OURS = ("producers", "streams", "sinks", "deploy")
TALKATIVE = ("kafka", "kafka.cluster", "aiokafka", "faust", "mode")
"""Libraries that set their own level below warning."""


def configure(process: str, level: str) -> None:
    """Send structlog and the libraries' loggers to stderr as JSON lines."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    renderer = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(renderer)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for ours in OURS:
        logging.getLogger(ours).setLevel(LEVELS[level])
    logging.getLogger("kafka.net.selector").setLevel(
        logging.ERROR
    )  # it warns of each tenth of a second of somebody's CPU
    for talkative in TALKATIVE:
        logging.getLogger(talkative).setLevel(logging.WARNING)
