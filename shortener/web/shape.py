"""The shape of every error for programs: problem+json (RFC 9457).

`type` is the error's place in the table at `/-/errors`, relative to this server.
"""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from shortener.errors import FieldError, Problem


class ProblemBody(Struct, frozen=True):
    """What went wrong (RFC 9457, section 3.1)."""

    type: Annotated[
        str,
        Meta(
            description="Which problem it is: its place in the table at `/-/errors`.",
            extra_json_schema={"format": "uri-reference"},
        ),
    ]
    title: Annotated[str, Meta(description="The problem in a few words, always the same ones.")]
    status: Annotated[int, Meta(description="The HTTP status.")]
    detail: Annotated[str, Meta(description="What went wrong this time.")]
    errors: Annotated[
        tuple[FieldError, ...] | UnsetType,
        Meta(description="Each field of the body or the query that is wrong."),
    ] = UNSET


def type_of(problem: Problem | type[Problem]) -> str:
    """The URI that tells one kind of problem from another."""
    return f"/-/errors#{problem.slug}"


def problem_body(problem: Problem) -> ProblemBody:
    """A problem as JSON says it."""
    return ProblemBody(
        type=type_of(problem),
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        errors=problem.fields or UNSET,
    )
