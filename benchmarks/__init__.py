"""How fast, how big, how soon: figures, never pass marks.

    python -m benchmarks           redirects and creations a second, against plain Flask
    python -m benchmarks memory    bytes of Redis that a link costs
    python -m benchmarks start     from `shortener serve` to its first redirect

__main__      the command line; ends everything on Ctrl-C
arguments     what it accepts
comparison    rounds of the contenders in turn, each alone on the machine
contenders    ours and plain: started, filled, asked what they counted, stopped
plain         the plain Flask program we compare with
client        single requests, exactly checked
wrk           many requests, from the load generator
memory        one of the three, on its own
start         another
stock         a store filled with links through the product's own code
destinations  the URLs that are shortened
report        tables, files and progress lines

Figures of one run may be compared with each other; those of two runs, or of two machines, may not.
"""
