"""Errors a user can meet, each with the exit code of the command line.

A message says what is wrong, where (node, operator, shapes) and what to do about it.
"""


class AutochunkError(Exception):
    """Something the user can act on."""

    exit_code = 1


class UsageError(AutochunkError):
    """Bad options or arguments, or something that this machine lacks."""

    exit_code = 2


class ModelError(AutochunkError):
    """Bad input file."""


class ChildError(AutochunkError):
    """A child process failed, was killed or took too long."""


class BudgetError(AutochunkError):
    """The budget cannot be met."""

    exit_code = 3


class VerificationError(AutochunkError):
    """The rewritten model's outputs differ from the original's."""

    exit_code = 4


class RuleError(Exception):
    """A bug of ours: an axis rule or an emitted graph contradicts itself. Please report it."""
