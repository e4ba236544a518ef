"""Export and import: all there is about links, in JSON records for the lines of a file."""

import secrets
import time
from typing import cast

import msgspec
from flask import Blueprint, Response, request

from shortener.config import Settings
from shortener.errors import Invalid, Problem
from shortener.links.filters import Position
from shortener.links.outcomes import Made
from shortener.links.transfer import Incoming, Transfer
from shortener.web.api import carried, examples, listing, parameters
from shortener.web.api.access import Access, account, reply
from shortener.web.api.answers import ImportFault, ImportResult, time_text
from shortener.web.api.described import Reply, described
from shortener.web.api.wishes import Wishes
from shortener.web.shape import problem_body

MAX_RECORDS = 1_000  # of one call
MAX_ANSWER = 4 * 1024 * 1024  # bytes; a page ends with the link that passes it
MAX_IMPORT = 16 * 1024 * 1024  # bytes of a body: a link may have ten years of statistics
AT_ONCE = 100  # links whose statistics are read together

LIMIT = parameters.Parameter(
    "limit", "How many links at most.", parameters.whole(1, MAX_RECORDS, MAX_RECORDS), 200
)


def blueprint(access: Access, transfer: Transfer, wishes: Wishes, settings: Settings) -> Blueprint:
    """`/export` and `/import`."""
    views = Blueprint("transfer", __name__)

    @views.get("/export")
    @access.needs("links:read", "stats:read")
    @described(
        Reply(200, "A page of the export.", carried.ExportPage, examples.EXPORT),
        query=(LIMIT, parameters.CURSOR),
    )
    def export() -> Response:
        """Export links with their statistics.

        The first page begins with what the export is and with the statistics of the site and of
        each tag; then come the links, oldest first. Hashes of passwords are for `admin` keys alone.
        """
        limit = listing.limit(request.args, MAX_RECORDS, MAX_RECORDS)
        behind = listing.position(request.args, "created")
        now = int(time.time())
        records: list[carried.Record] = [] if behind else [_header(now)]
        if behind is None:
            records += [carried.whole_record(whole) for whole in transfer.wholes(now)]
        links, behind = _links(limit, behind, now)
        following = None if behind is None else listing.cursor(behind, "created")
        return reply(carried.ExportPage(records + links, following))

    @views.post("/import")
    @access.needs("admin")
    @described(
        Reply(200, "What became of the records.", ImportResult, examples.IMPORTED),
        body=carried.Import,
        parts=(carried.LinkRecord, carried.SiteRecord, carried.TagRecord),
        example=examples.IMPORT,
    )
    def bring_in() -> Response:
        """Import links, with their statistics when they come from an export.

        A link that is there already stays as it is, and nothing is added twice, however often the
        call is repeated. A record that is wrong fails alone. Up to 16 MiB.
        """
        request.max_content_length = MAX_IMPORT
        body = carried.read(request.get_data())
        export = "" if body.export is None else body.export.id
        source = export if body.export is None else body.export.site or export
        if body.export is not None and body.export.timezone != settings.timezone.key:
            raise Invalid.field(
                "export.timezone",
                f"is {body.export.timezone}, and this site keeps days of {settings.timezone.key}",
            )
        now = int(time.time())
        incoming: dict[int, Incoming] = {}
        problems: dict[int, Problem] = {}
        for index, record in enumerate(carried.records(body.records)):
            if isinstance(record, Problem):
                problems[index] = record
                continue
            try:
                found = carried.incoming(record, export, wishes, now)
            except Problem as problem:
                problems[index] = problem
                continue
            if isinstance(found, Incoming):
                incoming[index] = found
            else:
                transfer.add_whole(found, source)
        made = transfer.add_links(list(incoming.values()), export, account().id, now)
        outcomes = dict(zip(incoming, made, strict=True))
        problems |= {i: outcome for i, outcome in outcomes.items() if isinstance(outcome, Problem)}
        links = [outcome for outcome in made if isinstance(outcome, Made)]
        return reply(
            ImportResult(
                created=sum(outcome.is_new for outcome in links),
                existing=sum(not outcome.is_new for outcome in links),
                errors=[
                    ImportFault(index, problem_body(problems[index])) for index in sorted(problems)
                ],
            )
        )

    def _header(now: int) -> carried.ExportRecord:
        return carried.ExportRecord(
            id=secrets.token_hex(16),
            site=transfer.identity(),
            at=time_text(now),
            timezone=settings.timezone.key,
            links=transfer.count(),
        )

    def _links(
        limit: int, behind: Position | None, now: int
    ) -> tuple[list[carried.Record], Position | None]:
        """The links of one page, as far as the answer may be large."""
        with_secrets = "admin" in account().scopes
        records: list[carried.Record] = []
        size = 0
        while limit > len(records):
            some, following = transfer.links(min(AT_ONCE, limit - len(records)), behind, now)
            for one in some:
                record = msgspec.json.encode(carried.link_record(one, with_secrets))
                records.append(cast("carried.Record", msgspec.Raw(record)))  # as it will be sent
                behind, size = Position(one.link.place), size + len(record)
                if size >= MAX_ANSWER:
                    return records, behind
            if following is None:
                return records, None
            behind = following
        return records, behind

    return views
