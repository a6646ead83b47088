"""What the read-only users may see: views, never tables, since tables hold text, pseudonyms and raw bytes."""

BI_VIEWS = (
    "v_events",
    "v_readings_latest",
    "v_readings_as_known_at",
    "v_readings_mix",
    "v_alarms_open",
    "v_alarm_history",
    "v_alarm_verbatims",
    "v_csat_daily",
    "v_nps_daily",
    "v_channel_volume",
    "v_web_visits",
    "v_escalation",
    "v_escalation_steps",
    "v_escalation_steps_as_known_at",
    "v_repeat_contacts",
    "v_response_times",
    "v_response_daily",
    "v_buyers",
    "v_first_answers",
)
BI_TEXT_VIEWS = (*BI_VIEWS, "v_events_text", "v_escalation_customers", "v_escalation_customers_as_known_at")
CATALOGUE_TABLES = ("touchpoints", "metrics")
METRIC_VIEWS = ("v_metric_*",)
"""The views of the catalogue's metrics, whichever they are (sinks/compiled)."""


def grants(database: str, names: tuple[str, ...]) -> list[str]:
    """Return the statements of users.xml that let a user read `names` in `database`."""
    return [f"GRANT SELECT ON {database}.{name}" for name in names]


BI_GRANTS: list[str] = grants("barometer", (*BI_VIEWS, *CATALOGUE_TABLES, *METRIC_VIEWS))
BI_TEXT_GRANTS: list[str] = grants("barometer", (*BI_TEXT_VIEWS, *CATALOGUE_TABLES, *METRIC_VIEWS))
