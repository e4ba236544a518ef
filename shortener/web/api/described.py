"""What each operation of the API takes and answers, said once, at its view.

`@described` keeps it with the view and holds requests to it: a query parameter that is not
described is refused.  The words are those of the view's docstring, the scopes those that
`Access.needs` asks for, and what every operation may answer (no key, no store) is added here.
`web/document.py` makes the OpenAPI document of it.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, NamedTuple, ParamSpec

from flask import Response, request

from shortener import errors
from shortener.errors import Problem
from shortener.web.api import queries
from shortener.web.api.parameters import Parameter

P = ParamSpec("P")
View = Callable[P, Response]


class Reply(NamedTuple):
    """One answer of an operation that is no problem."""

    status: int
    meaning: str
    body: Any = None  # the type that is sent as JSON
    example: object = None
    headers: tuple[Parameter, ...] = ()
    media: tuple[str, ...] = ()  # other types that it may be sent as


class Description(NamedTuple):
    """What an operation takes and answers."""

    replies: tuple[Reply, ...]
    query: tuple[Parameter, ...]
    headers: tuple[Parameter, ...]
    body: Any
    parts: tuple[Any, ...]  # types of what is in the body, where it is looked at piece by piece
    example: object  # of the body
    problems: tuple[type[Problem], ...]
    scopes: tuple[str, ...] = ()
    is_limited: bool = False

    @property
    def all_problems(self) -> tuple[type[Problem], ...]:
        """Those that the view names, and those that come with what it takes."""
        found: list[type[Problem]] = [*self.problems, errors.Invalid]
        if self.scopes:
            found += [errors.Unauthorized, errors.Forbidden, errors.TooManyTries, errors.StoreAway]
        if self.body is not None:
            found += [errors.TooLarge, errors.TooSlow]
        if self.is_limited:
            found.append(errors.RateLimited)
        return tuple(sorted({*found, errors.Internal}, key=lambda one: (one.status, one.slug)))


def described(
    *replies: Reply,
    query: Iterable[Parameter] = (),
    headers: Iterable[Parameter] = (),
    body: Any = None,
    parts: Iterable[Any] = (),
    example: object = None,
    problems: Iterable[type[Problem]] = (),
) -> Callable[[View[P]], View[P]]:
    """Describe a view; below `needs` and `limited`, so that they come first."""
    description = Description(
        replies, tuple(query), tuple(headers), body, tuple(parts), example, tuple(problems)
    )
    names = tuple(parameter.name for parameter in description.query)
    repeated = tuple(parameter.name for parameter in description.query if parameter.is_repeated)

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> Response:
            queries.known(request.args, names, repeated)
            return view(*args, **kwargs)

        vars(checked)[__name__] = description
        return checked

    return decorate


def note(view: Callable[..., object], **more: Any) -> None:
    """Add to what is known of a view: the scopes it needs, that it is limited."""
    description = vars(view).get(__name__)
    if description is not None:
        vars(view)[__name__] = description._replace(**more)


def description_of(view: Callable[..., object]) -> Description | None:
    """What a view takes and answers; None when nobody has said."""
    found: Description | None = vars(view).get(__name__)
    return found
