"""Errors a user can mend: one line that names what is wrong and what to do."""


class UserError(Exception):
    """A mistake in the input, shown to the user as one line without a traceback."""


class BadRecordError(UserError):
    """A record cannot be read; the message names the file, the index and the reason."""


class ConfigurationError(UserError):
    """A configuration contradicts itself or what a work folder already holds."""


class TrainingError(UserError):
    """Training cannot go on (NaN loss, full disk); the last checkpoint stays usable."""
