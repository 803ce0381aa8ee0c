"""How much a question in SQL may cost, and what is said where it wants more."""

from pydantic import Field

from vexpress.schemas.errors import QueryError
from vexpress.schemas.row import Model

MOST_CHARACTERS = 128 << 10
"""Longest question; as much as Linux lets one argument of a command be."""
MOST_COLUMNS = 10_000
"""DuckDB takes a time that grows with the square of the columns."""


class QueryLimits(Model):
    """What the answer to one question may cost."""

    timeout_s: float = Field(600, gt=0)
    """Longest time, seconds."""
    max_rows: int = Field(1_000_000, ge=1)
    """Most rows of the answer."""
    memory_gb: float = Field(4, ge=0.1)
    """Most memory, gigabytes: of DuckDB, and of the rows that are read. DuckDB puts down on disk
    up to four times as much."""

    def settings(self) -> dict[str, str]:
        """Return DuckDB's settings for these limits."""
        return {
            "memory_limit": f"{self.memory_gb}GB",
            "max_temp_directory_size": f"{4 * self.memory_gb}GB",
            "pivot_limit": str(MOST_COLUMNS),
        }

    def too_slow(self) -> QueryError:
        """Return the error of a question that takes too long."""
        return QueryError(
            f"expected an answer within {self.timeout_s:g} seconds, stopped there. Ask for less; "
            "`vexpress query` allows more with --timeout-s."
        )

    def too_much_memory(self) -> QueryError:
        """Return the error of a question that takes too much memory."""
        return QueryError(
            f"expected an answer that takes at most {self.memory_gb:g} GB of memory, stopped "
            "there. Ask for fewer rows or columns; `vexpress query` allows more with --memory-gb."
        )

    def too_many_rows(self) -> QueryError:
        """Return the error of a question with too many rows."""
        return QueryError(
            f"expected an answer of at most {self.max_rows:,} rows, found more. Ask for fewer "
            "(WHERE …, LIMIT …); `vexpress query` allows more with --max-rows."
        )


LIMITS = QueryLimits()


def require_short(sql: str) -> None:
    """Raise QueryError for a question that would take long to read alone."""
    if len(sql) > MOST_CHARACTERS:
        raise QueryError(
            f"expected a question of at most {MOST_CHARACTERS:,} characters, found {len(sql):,}"
        )


def require_readable(columns: list[str]) -> None:
    """Raise QueryError for an answer that is too wide to be read."""
    if len(columns) > MOST_COLUMNS:
        raise QueryError(
            f"expected an answer of at most {MOST_COLUMNS:,} columns, found {len(columns):,}"
        )
