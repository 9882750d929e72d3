"""Payloads from `enqueue` to delivery or drop: queues, workers, batches, accounts.

====================  ================================================================
``per_process``       one engine in each process; a forked child makes its own
``engine``            the part of a sender that belongs to one process
``sender_engine``     makes the engine of a `Sender`
``open_tracks``       the workers that accept payloads
``capacity``          the bounds: items and bytes, over all tracks
``payload_queue``     where the payloads of a track wait
``worker``            a track's worker: ``put``, its thread, waiting for ``flush``
``batch_gathering``   a batch is filled; a first payload lingers for more
``batch_delivery``    a batch at the primary endpoint: tried, retried, split, settled
``payload_requests``  a batch as a request
``retry``             an attempt is repeated until its time is over
``backoff``           how long to wait before a retry
``downgrade``         agents without the newer route
``dual_shipping``     additional endpoints
``ledger``            the accounts of a track; ``totals`` those of all tracks
``drops``             refused payloads are counted; every drop is logged and reported
``outages``           the log's lines about endpoints that fail or recover
``recount``           corrects the counters of the bounds
``work_deadline``     how long the work may go on, and how it waits
====================  ================================================================

Imports: config, errors, options, protocol, runtime, stats, transport.
"""
