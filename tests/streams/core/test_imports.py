"""What a process of stage 1 loads when it starts: nothing heavy that it does not use."""

import subprocess
import sys

import pytest
import scipy.special

from streams.core import special

NEEDLESS = ("scipy", "pandas", "statsmodels", "matplotlib", "httpx", "starlette", "uvicorn", "rich", "cyclopts",
            "clickhouse_driver", "phonenumbers", "hypothesis")  # fmt: skip
_LOADED = "import sys, streams.tallying; print(*{name.partition('.')[0] for name in sys.modules})"


def test_stage_1_starts_without_scipy_and_without_what_other_stages_load():
    loaded = subprocess.run([sys.executable, "-c", _LOADED], check=True, capture_output=True, text=True).stdout.split()
    assert {"polars", "numpy", "aiokafka"} <= {*loaded}
    assert not {*NEEDLESS} & {*loaded}


def test_special_functions_are_those_of_scipy():
    for name in ("ndtri", "stdtrit", "gammaincinv", "gammainccinv", "betaln", "bdtr"):
        assert getattr(special, name) is getattr(scipy.special, name)
    with pytest.raises(AttributeError, match="no_such"):
        special.no_such  # noqa: B018 - looked up, not used
