"""What the read-only users may see: views, never tables, since tables hold text, pseudonyms and raw bytes."""

BI_VIEWS = (
    "v_events",
    "v_readings_latest",
    "v_readings_as_known_at",
    "v_alarms_open",
    "v_alarm_history",
    "v_csat_daily",
    "v_nps_daily",
    "v_channel_volume",
)
BI_TEXT_VIEWS = (*BI_VIEWS, "v_events_text")
CATALOGUE_TABLES = ("touchpoints", "metrics")


def grants(database: str, names: tuple[str, ...]) -> list[str]:
    """Return the statements of users.xml that let a user read `names` in `database`."""
    return [f"GRANT SELECT ON {database}.{name}" for name in names]


BI_GRANTS: list[str] = grants("barometer", (*BI_VIEWS, *CATALOGUE_TABLES))
BI_TEXT_GRANTS: list[str] = grants("barometer", (*BI_TEXT_VIEWS, *CATALOGUE_TABLES))
