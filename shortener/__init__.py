"""A URL shortener whose click counts are exact.

A module imports only from rows above its own (`tests/test_architecture.py` holds us to it).

row 1  config       settings, parsed and checked once     errors     what can go wrong, with status
       journal      the click journal: append, rotate     segments   the same files, read
       children     processes that die with us            data_dir   the directory, its lock
       status       what the aggregator reports           gauges     counters of all processes
       access_log   a line a request, if wanted           values     how settings are read
       flag         raised by a signal
row 2  keys         every Redis key, in one table         codes      number -> code; alias rules
       targets      where a link may point                cells      where clicks are kept, how long
       connections  Redis clients from one URL            intervals  hours and days of a zone
       visits       a click -> its labels; DIMENSIONS     agents     user agents, read
       places       the country of an address             horizon    what cells still tell
       tracked      one that is told of changes
row 3  site         what is fixed at the first start      link       what a link is
       links        find, change, delete                  redirects  the decision, pure
       mint         new links                             claims     requests sent again
       press        writes them, where names are free
       catalogue    lists and search                      filters    what is asked of them
       existing     links equal to a wish                 url_index  which links lead to a URL
       tags         tags of links                         portions   statistics, carried over
       transfer     export and import
       stats        ask about clicks                      limits     how often is too often
       series       counts by interval                    labels     clicks by label
       accounts     API keys and scopes                   increments clicks, summed up
       sessions     who is signed in with a browser
       tally        these, applied once                   salts      what visitors are hashed with
       aggregator   tails the journals, tidies up         counting   all that counts, wired
       pieces       batches, cut to fit a script          metrics    numbers for Prometheus
       health       named checks, in words
       qr           short URLs as QR codes                pulse      what is clicked just now
       applying     the script of the tally               marks      where a bucket stands
       set_aside    clicks that a script fails on
row 4  web/         everything that knows HTTP
row 5  app          wires Flask on one screen            front      wires the event loop
       kit          what each of the two has
row 6  embedded     the private Redis                     server     gunicorn and its worker
       office       Flask, beside each worker
       supervisor   starts and watches them               client     calls to a server
       cli/         the `shortener` command

Follow one redirect: `web/edge.py` reads the request, `web/records.py` remembers links and reads the
others together, `link.py` knows the record, `redirects.py` decides, `journal.py` writes the click
down; then the answer goes out.  `web/protocol.py` does the same for most requests with less ado.
Everything else goes through `web/bridge.py` and `web/office.py` to the process of `office.py`,
whose threads (`web/clerks.py`) run the Flask application of `app.py`.
"""

__version__ = "0.1.0"
