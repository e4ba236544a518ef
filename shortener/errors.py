"""What can go wrong, each with a status, a name and a sentence.

Raised anywhere, rendered in one place (`web/problems.py`): problem+json (RFC 9457) for clients, a
page for people.  `PROBLEMS` is the table behind `/-/errors` and the README.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One field that is wrong."""

    field: Annotated[
        str, msgspec.Meta(description="Its name, with dots and brackets for what is inside.")
    ]
    message: Annotated[str, msgspec.Meta(description="What is wrong with it.")]


class Failure(Exception):
    """Why a command ends with exit status 1; the message is one line."""


class Problem(Exception):
    """Base of all errors that a client is told about."""

    slug: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]
    meaning: ClassVar[str]
    retry_after: int | None = None  # seconds
    headers: Mapping[str, str] = MappingProxyType({})  # further ones of the answer

    def __init__(self, detail: str = "", fields: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail or self.meaning)
        self.detail = detail or self.meaning
        self.fields = fields


class Invalid(Problem):
    slug, status, title = "invalid", 422, "Invalid request"
    meaning = "A field of the body or the query does not validate; errors names it."

    @classmethod
    def field(cls, field: str, message: str) -> "Invalid":
        """The common case: one field, one message; what no encoding can say is replaced."""
        field, message = (text.encode("utf-8", "replace").decode() for text in (field, message))
        return cls(f"{field}: {message}" if field else message, (FieldError(field, message),))


class CodeTaken(Problem):
    slug, status, title = "code-taken", 409, "Code already taken"
    meaning = "Another link has this code."


class CodesExhausted(Problem):
    slug, status, title = "codes-exhausted", 503, "No free code found"
    meaning = "No free code was found in many tries; raise CODE_LENGTH."


class Changed(Problem):
    slug, status, title = "changed", 412, "Changed meanwhile"
    meaning = "The link is not any more as If-Match says; read it again."


class NotFound(Problem):
    slug, status, title = "not-found", 404, "Not found"
    meaning = "There is nothing at this address."


class LinkNotFound(Problem):
    slug, status, title = "link-not-found", 404, "No such link"
    meaning = "There is no link with this code."


class TagNotFound(Problem):
    slug, status, title = "tag-not-found", 404, "No such tag"
    meaning = "There is no link with this tag."


class TagTaken(Problem):
    slug, status, title = "tag-taken", 409, "Tag already taken"
    meaning = "Other links have this tag."


class LinkExpired(Problem):
    slug, status, title = "link-expired", 410, "Link expired"
    meaning = "The link has expired and leads nowhere any more."


class LinkUsedUp(Problem):
    slug, status, title = "link-used-up", 410, "Link used up"
    meaning = "The link has been followed as often as it may be and leads nowhere any more."


class Unauthorized(Problem):
    slug, status, title = "unauthorized", 401, "API key required"
    meaning = "The request has no API key, or one that is unknown or expired."


class WrongPassword(Problem):
    slug, status, title = "wrong-password", 403, "Wrong password"
    meaning = "The link asks for another password."


class ForeignForm(Problem):
    slug, status, title = "foreign-form", 403, "Not from a page of ours"
    meaning = "The form was not sent by a page of this dashboard, or by one of another session."


class TooManyTries(Problem):
    slug, status, title = "too-many-tries", 429, "Too many tries"
    meaning = "There were too many wrong passwords, keys or codes from this address; wait a minute."
    retry_after = 60


class RateLimited(Problem):
    slug, status, title = "rate-limited", 429, "Too many requests"
    meaning = "This API key made too many requests in a short time; RateLimit says when to go on."
    retry_after = 60


class Forbidden(Problem):
    slug, status, title = "forbidden", 403, "Not allowed"
    meaning = "The API key lacks the scope that this call needs."


class MethodNotAllowed(Problem):
    slug, status, title = "method-not-allowed", 405, "Method not allowed"
    meaning = "This address does not answer to this method."


class BadRequest(Problem):
    slug, status, title = "bad-request", 400, "Bad request"
    meaning = "The request is not valid HTTP, or lacks what this address needs."


class TooLarge(Problem):
    slug, status, title = "too-large", 413, "Body too large"
    meaning = "The body is larger than 1 MiB, or that of an import than 16 MiB."


class HeadTooLarge(Problem):
    slug, status, title = "head-too-large", 431, "Head too large"
    meaning = "Request line and headers are larger than 64 KiB, or more than 100 headers."


class TooSlow(Problem):
    slug, status, title = "too-slow", 408, "Request too slow"
    meaning = "The headers, or the body, did not arrive within 15 seconds."


class TooManyListeners(Problem):
    slug, status, title = "too-many-listeners", 503, "Too many listeners"
    meaning = "As many as one worker serves are listening to live events."
    retry_after = 10


class NoStream(Problem):
    slug, status, title = "no-stream", 501, "No live events here"
    meaning = "Live events need the event loop that `shortener serve` runs."


class StoreAway(Problem):
    slug, status, title = "store-away", 503, "Store unavailable"
    meaning = "Redis cannot be reached or cannot write at the moment; nothing was changed."
    retry_after = 1


class Unavailable(Problem):
    slug, status, title = "unavailable", 503, "Not available at the moment"
    meaning = "What answers this is being started anew; what was asked for may have been done."
    retry_after = 1


class Internal(Problem):
    slug, status, title = "internal", 500, "Internal error"
    meaning = "Something went wrong on our side; the log says what."


PROBLEMS: tuple[type[Problem], ...] = tuple(Problem.__subclasses__())
