"""A queue on a disk, on SQLite.

========================  ================================================================
``disk_queue``            the queue: `put`, `take` and the rest, from the parts below
``writer``                its thread that commits what came meanwhile (group commit)
``batch``                 what one commit writes, and whom to tell of it
``housekeeper``           its thread for what is slow: sealing, moving, burying, expiring
``waiting``               what waits and what is taken: in memory, knows no disk
``settled``               which requests are done with, and how that is written down
``segment``, ``row``      one file, and a request in it
``segment_files``         names of the files, and what is done to them as files
``loading``               what is found at the start
``salvage``               what can be read of a damaged file
``dead_letters``          requests that were refused for good
``folders``               the layout of the folder, its locks, what is adopted
``browser``               looking into it from outside
========================  ================================================================

Requests are appended to the newest file (the *active segment*) until it has some 64 MB.
Nothing is ever changed in a segment after that: that a request is done with is written to
the active segment, whichever the request lies in, and a segment is unlinked whole once all
of its requests are done with. So nothing is written twice while deliveries keep up, a
delivery frees space at once, and a full disk can be emptied.
"""
