"""The command group `alarms`: what operators see of alarms and decide about them, and the arming of rules."""

from collections.abc import Callable, Mapping

import cyclopts

from deploy import cli_alarms_decided as decided
from deploy import cli_alarms_rules as rules
from deploy import cli_alarms_seen as seen

COMMANDS: Mapping[str, Callable[..., int]] = {
    "list": seen.list_alarms, "show": seen.show_alarm, "watch": seen.watch,
    "ack": decided.ack, "note": decided.add_note, "resolve": decided.resolve, "silence": decided.silence,
    "arm": rules.arm, "disarm": rules.disarm, "rebase": rules.rebase, "renew": rules.renew,
}  # fmt: skip
alarms = cyclopts.App(
    name="alarms",
    help="See alarms and take them on, end or silence them; arm rules and renew what they compare with.",
)
for name, command in COMMANDS.items():
    alarms.command(command, name=name)
