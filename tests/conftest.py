"""Fixtures for data that lies outside the project; without it a test says so and is skipped.

MCU_ASC_DATA    folder that holds esc10/ (audio/ and meta/ as ESC-50 is released)
MCU_ASC_MODELS  folder with the MLPerf Tiny .tflite models
MCU_ASC_REQUIRE_DATA=1 turns those skips into failures: for machines that must have the data.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _outside(variable: str, child: str) -> Path:
    path = Path(os.environ.get(variable, "")) / child
    if os.environ.get(variable) and path.exists():
        return path.parent if path.is_file() else path
    why = f"needs {variable} (a folder with {child})"
    if os.environ.get("MCU_ASC_REQUIRE_DATA"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def esc10_root() -> Path:
    """ESC-10: a folder with audio/ and meta/."""
    return _outside("MCU_ASC_DATA", "esc10")


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """The MLPerf Tiny reference models and the ASC-shaped ones."""
    return _outside("MCU_ASC_MODELS", "kws_ref_model.tflite")
