"""The fixtures and the harness are those of the integration tests."""

import importlib.util
import sys
from pathlib import Path

_integration = Path(__file__).resolve().parent.parent / "integration"
sys.path.insert(0, str(_integration))

# By its file: the name `conftest` is this one's own.
_spec = importlib.util.spec_from_file_location("integration_conftest", _integration / "conftest.py")
_conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_conftest)
globals().update({name: value for name, value in vars(_conftest).items() if not name.startswith("__")})
