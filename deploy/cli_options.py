"""Options that several commands share, and the settings that follow from them."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from deploy.located import locate
from deploy.wiring import schemas_in_use
from schemas.settings import Settings, load

Json = Annotated[bool, Parameter(name="--json", negative="", help="print JSON")]
DataDir = Annotated[
    Path | None,
    Parameter(name="--data-dir", help="folder of the local stack (default: .barometer)"),
]


def settings_of(data_dir: Path | None) -> Settings:
    """Return the settings of the environment, on another data folder if one is given. Raises SettingsError."""
    settings = load(os.environ)
    return settings if data_dir is None else msgspec.structs.replace(settings, data_dir=str(data_dir))


def located(data_dir: Path | None) -> Settings:
    """Return the settings with the servers of the running installation. Raises SettingsError where none is known."""
    found = locate(settings_of(data_dir))
    schemas_in_use(found)
    return found
