"""How fast, how big, how soon: figures, never pass marks.

    python -m benchmarks            redirects a second, against nginx, nginx + Lua, plain Flask
    python -m benchmarks cold       the same with more links than a worker remembers
    python -m benchmarks busy       what redirects wait while others read lists and statistics
    python -m benchmarks creations  links made a second, against plain Flask
    python -m benchmarks lists      what a question to the list of links costs
    python -m benchmarks memory     bytes of Redis that a link costs
    python -m benchmarks start      from `shortener serve` to its first redirect

__main__      the command line; ends everything on Ctrl-C
arguments     what it accepts
comparison    rounds of the contenders in turn, each alone on the machine
contenders    ours and plain: started, filled, asked what they counted, stopped
nginx         the same for nginx, alone and with Lua and Redis
plain         the plain Flask program we compare with
client        single requests, exactly checked
wrk           many requests, from the load generator
processes     what the operating system knows of processes: time, memory, children
cold, busy, creations, lists, memory, start   the other measures
stock         a store filled with links through the product's own code
destinations  the URLs that are shortened
report, plot  tables, files and progress lines; a picture

Figures of one run may be compared with each other; those of two runs, or of two machines, may not.
"""
