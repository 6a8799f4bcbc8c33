"""Every failure a user can cause or meet, and the exit code each one ends with.

AscError                 1  something failed
+-- UsageError           2  the command line or a file the user wrote is wrong
+-- OverBudget           3  the model does not fit the board or the budget
+-- ToolMissing          4  a program or package that is needed is not installed
+-- DeviceError          5  the board, the emulator or the line between them failed
"""

from __future__ import annotations


class AscError(Exception):
    """A failure with a remedy: `message` says what and where, `hint` says what to do about it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(AscError):
    """Wrong arguments, or a recipe, board, budget, model or audio file that cannot be used as it is."""

    exit_code = 2


class OverBudget(AscError):
    """A model, or a firmware built from it, is larger than the limit it was checked against."""

    exit_code = 3


class ToolMissing(AscError):
    """A compiler, program or optional Python package is not there."""

    exit_code = 4


class DeviceError(AscError):
    """No answer, a broken line, a fault, or an answer that cannot be right."""

    exit_code = 5
