"""Errors that a person can act on.

VexpressDataError
├── ConfigError      the configuration cannot work; raised before any work starts
├── SourceError      the source as a whole cannot be listed
├── DatasetError     the data set is not there, is in use, or is of another kind
├── QueryError       the SQL is wrong or asks for what is not allowed
└── FullDisk         nothing more can be written where the data set lives
"""


class VexpressDataError(Exception):
    """Base of the errors that say what was expected, what was found, and what to do."""


class ConfigError(VexpressDataError):
    """The configuration cannot work."""


class SourceError(VexpressDataError):
    """The source cannot be listed."""


class DatasetError(VexpressDataError):
    """The data set cannot be opened."""


class QueryError(VexpressDataError):
    """The query cannot be answered."""


class FullDisk(VexpressDataError):  # noqa: N818 - it says what is the matter
    """Nothing more can be written where the data set lives."""
