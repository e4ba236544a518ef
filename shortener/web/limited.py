"""What a client is told of a limit: `RateLimit-Policy`, `RateLimit`, and `Retry-After` at its end.

The fields are spelled as in draft-ietf-httpapi-ratelimit-headers-10: the policy says how many (`q`)
in how many seconds (`w`); the other one what remains (`r`), and after how many seconds (`t`) there
is more.
"""

from shortener.errors import Problem
from shortener.limits import Standing


def fields(standing: Standing) -> dict[str, str]:
    """The response headers."""
    name, quota, window, remaining, reset = standing
    return {
        "RateLimit-Policy": f'"{name}";q={quota};w={window}',
        "RateLimit": f'"{name}";r={remaining};t={reset}',
    }


def refused(problem: Problem, standing: Standing | None) -> Problem:
    """The problem, with when to come back."""
    if standing is not None:
        problem.retry_after = standing.reset
        problem.headers = fields(standing)
    return problem
