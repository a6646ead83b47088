"""The command line `barometer`: it parses, calls, and turns errors into exit codes (0 ok, 1 failed, 2 usage)."""

import os
import sys
from importlib.metadata import version as package_version

import cyclopts
from rich.console import Console

from deploy import logs
from schemas.errors import BarometerError, CatalogueError, SettingsError, UsageError

EXIT_FAILED, EXIT_USAGE = 1, 2

# Named, not imported: a command loads only what it needs, so that the five processes start quickly on a small machine.
COMMANDS = (
    ("demo", "cli_local:demo", "Run a month of a shop chain through everything, show readings and alarms."),
    ("up", "cli_local:up", "Start everything on this machine and stay up."),
    ("import", "cli_data:import_", "Import past feedback: CSV, JSON lines, mbox, .eml."),
    ("query", "cli_watch:query", "Ask ClickHouse as the read-only user."),
    ("endpoints", "cli_watch:endpoints", "Print where the local stack listens."),
    ("doctor", "cli_watch:doctor", "Say whether everything is there and moves, and what to do where not."),
    ("audit", "cli_audit:audit", "Prove that nothing is lost and nothing stands twice; name what is missing."),
    ("report", "cli_report:report", "Write the report of a week: one HTML page and CSV files, French or English."),
    ("alarms", "cli_alarms:alarms", "See alarms, take them on, end them; arm rules, renew baselines."),
    (
        "sources",
        "cli_sources:sources",
        "What the judge waits for; leave a silent or spoilt source out, and include it again.",
    ),
    ("rejected", "cli_rejected:rejected", "What could not become an event, and why; mend it and feed it again."),
    ("subject", "cli_subject:subject", "What is held about a person: export it, erase it, check a receipt."),
    ("backtest", "cli_backtest:backtest", "Run any catalogue on past events, of a file or of ClickHouse."),
    ("replay", "cli_data:replay", "Count everything again from the topics and compare."),
    ("simulate", "cli_data:simulate", "Simulate months: drops found, false alarms against the budget."),
    ("bench", "cli_data:bench", "Measure each stage in events per CPU-second."),
    ("gateway", "cli_processes:gateway", "Process: take feedback in over HTTP."),
    ("worker", "cli_processes:worker", "Process: one of the two stream stages."),
    ("sink", "cli_processes:sink", "Process: write the topics into ClickHouse."),
    ("gate", "cli_processes:gate", "Process: admit old and imported events."),
    ("recount", "cli_processes:recount", "Process: revise readings that very late answers changed."),
    ("notify", "cli_processes:notify", "Process: tell alarms to Alertmanager, a webhook, e-mail."),
    ("console", "cli_processes:console", "Process: alarms for operators, as pages and as JSON."),
    ("migrate", "cli_data:migrate", "Bring the ClickHouse database up to date."),
    ("topics", "cli_watch:topics", "Create and describe the topics."),
    ("config", "cli_watch:config", "Show and check the settings."),
    ("catalogue", "cli_catalogue:catalogue", "Check and document metric catalogues; put a new one into force."),
)


def version() -> int:
    """Print the version. Example: `barometer version`"""
    print(package_version("barometer"))
    return 0


def build(*, listing: bool) -> cyclopts.App:
    """Return the application; `listing` shows each command's summary without importing it, else its own help counts."""
    app = cyclopts.App(
        name="barometer",
        help="Customer satisfaction from every channel: readings with n and interval, alarms that keep a promise.",
        version=lambda: package_version("barometer"),
        help_format="markdown",
        result_action="return_value",
    )
    for order, (name, where, summary) in enumerate(COMMANDS):
        own = {"help": summary} if listing else {}
        app.command(f"deploy.{where}", name=name, sort_key=order, **own)
    app.command(version)
    return app


def main(arguments: list[str] | None = None) -> None:
    """Run one command and exit with its code."""
    errors = Console(stderr=True)
    logs.configure("barometer", "warning")
    given = sys.argv[1:] if arguments is None else arguments
    app = build(listing=not given or given[0].startswith("-"))
    try:
        code = app(
            given,
            exit_on_error=False,
            print_error=True,
            error_console=errors,
        )
    except cyclopts.CycloptsError:
        sys.exit(EXIT_USAGE)
    except (UsageError, SettingsError, CatalogueError) as error:
        errors.print(f"barometer: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(EXIT_USAGE)
    except BarometerError as error:
        errors.print(f"barometer: {error}", style="bold red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
