"""The job types of whole runtimes, by a name that a worker finds as well."""

from __future__ import annotations

import importlib
from typing import Any

from .jobs import FOLDER

assert FOLDER.is_dir()

isolated_jobs: Any = importlib.import_module("isolated_jobs")
