"""Everything that knows HTTP.

On the event loop:
edge       answers redirects and a few other requests, hands everything else to Flask
protocol   most redirects, with less ado             connection one connection's manners
heads      what HTTP asks of a head                  familiar   heads that were read before
sought     a request whose link is looked up         turn       answers that go out together
records    links, read together and remembered       memory     the links that are remembered
orders     requests for one new link                 live       events, as they happen
patience   how long a connection may keep us waiting
bridge     to Flask and back                         office     the process in which Flask runs
handed     what goes between the two

In the office:
clerks     the threads that answer there             api/       /api/v1, a file for each noun
redirect   the same redirect under Flask             preview    where a link leads, on a page
dashboard/ pages for who makes links                 pages      the front page, files
operations health and metrics                        docs       the page of the OpenAPI document
document   that document, made at the views          problems   errors as Flask answers them
passwords  of links                                  limited    what is told of a limit

In both:
visitor    what a request says about its visitor     domains    which domain a request is for
lookup     the link that a visitor asks for          meter      counts and logs every answer
headers    what protects people                      shape      one shape for every error
"""
