"""Payloads on their way from `enqueue` to their end: queues, workers, batches, accounts.

====================  ================================================================
``per_process``       one engine in each process; a child of a fork makes its own
``engine``            what a sender is in one process; ``sender_engine`` makes one
``open_tracks``       which tracks take payloads now
``capacity``          the bounds: items and bytes, over all tracks
``payload_queue``     where the payloads of a track wait
``worker``            the way of a track's payloads: put, gathered, delivered
``batch_gathering``   a first payload waits for company
``batch_delivery``    a batch at the primary endpoint: tried, retried, split, settled
``payload_requests``  a batch as a request
``retry``             when to try again
``backoff``           the numbers of it
``downgrade``         agents without the newer route
``dual_shipping``     additional endpoints
``ledger``            the accounts of a track; ``totals`` those of all tracks
``drops``             drops: counted, logged, told to the owner
``outages``           what the log says of endpoints in trouble
``recount``           brings counters back to what the queues hold
``work_deadline``     until when the work may go on, and how it waits
====================  ================================================================

Imports: config, errors, options, protocol, runtime, stats, transport.
"""
