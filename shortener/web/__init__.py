"""Everything that knows HTTP.

edge      the event loop: answers redirects, hands everything else to Flask
bridge    from the event loop to Flask and back
office    the process in which Flask runs, as the event loop has it
handed    what goes between the two
clerks    the threads that answer there
records   link records for the edge: coalesced reads, and a cache for when Redis is away
visitor   what a request says about its visitor
redirect  the same redirect under Flask
preview   where a link leads, on a page
lookup    the link that a visitor asks for
passwords of links
domains   which domain a request is for
api/      /api/v1, a file for each noun
pages     the front page, errors, files, health
document  the OpenAPI document, made of what is said at the views
docs      that document, and the page made of it
headers   what protects people, on every answer that is not a redirect
problems  errors as Flask answers them
shape     one shape for every error
"""
