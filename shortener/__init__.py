"""A URL shortener whose click counts are exact.

A module imports only from rows above its own (`tests/test_architecture.py` holds us to it).

row 1  config       settings, parsed and checked once     errors     what can go wrong, with status
       journal      the click journal: append, rotate     segments   the same files, read
       children     processes that die with us            data_dir   the directory, its lock
       status       what the aggregator reports           gauges     counters of all processes
       access_log   a line a request, if wanted           values     how settings are read
       flag         raised by a signal                    decoders   of JSON, one thread at a time
row 2  keys         every Redis key, in one table         codes      number -> code; alias rules
       targets      where a link may point                tracked    a client that hears of changes
       connections  Redis clients from one URL            pipes      one for an event loop

row 3  statistics/  what a click is counted as, where, and how that is asked about
       visits       a click -> its labels; DIMENSIONS     cells      where clicks are kept, how long
       agents       user agents, read                     places     the country of an address
       stats        ask about clicks                      intervals  hours and days of a zone
       series       counts by interval                    labels     clicks by label
       horizon      what cells still tell                 reading    what an answer is made of
       portions     carried over to other subjects

row 4  links/       what people make
       link         what a link is                        redirects  the decision, pure
       repository   find, change, delete                  mint       new links
       express      the same, many requests' together     press      writes them where they may be
       existing     links found, or made                  wanted     of equal requests at once
       claims       requests sent again                   outcomes   what becomes of wishes
       url_index    which links lead to a URL             batches    one script for many keys
       catalogue    lists and search                      filters    what is asked of them
       tags         tags of links                         transfer   export and import
row 4  counting/    from journals into cells, exactly once
       aggregator   tails the journals, tidies up         pieces     batches, cut to fit a script
       columns      clicks, read                          increments these, summed up
       tally        these, applied once                   applying   the script of the tally
       marks        where a bucket stands                 set_aside  clicks that a script fails on
       salts        what visitors are hashed with         pulse      what is clicked just now
       pace         how long they may gather              wiring     all of these, put together
row 4  site         what is fixed at the first start      limits     how often is too often
       accounts     API keys and scopes                   sessions   who is signed in by browser
       health/      named checks, in words                metrics    numbers for Prometheus
       qr           short URLs as QR codes

row 5  web/         everything that knows HTTP
row 6  app          wires Flask on one screen             front      wires the event loop
       kit          what each of the two has
row 7  embedded     the private Redis                     aggregate  the counting, as a process
       server       gunicorn and its worker               door       connections, shared by workers
       office       Flask, beside each worker             supervisor starts and watches them all
       client       calls to a server                     cli/       the `shortener` command

Follow one redirect: `web/edge.py` reads the request, `web/records.py` remembers links and reads the
others together, `links/link.py` knows the record, `links/redirects.py` decides, `journal.py` writes
the click down; then the answer goes out.  `web/protocol.py` does the same for most requests with
less ado.  A plain new link is made by `web/orders.py` and `links/express.py`.  Everything else goes
through `web/bridge.py` and `web/office.py` to the process of `office.py`, whose threads
(`web/clerks.py`) run the Flask application of `app.py`.
"""

__version__ = "0.1.0"
