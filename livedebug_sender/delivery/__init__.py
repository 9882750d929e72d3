"""Payloads from `enqueue` to delivery or drop: queues, workers, batches, counts.

====================  ================================================================
``per_process``       one engine in each process; a forked child creates its own
``engine``            the part of a sender that belongs to one process
``sender_engine``     creates the engine of a `Sender`
``open_tracks``       the workers that accept payloads
``capacity``          the limits of the queue: items and bytes, over all tracks
``payload_queue``     the queue of a track's payloads
``worker``            a track's worker: ``put``, its thread, waiting for ``flush``
``batch_gathering``   fills a batch; a first payload lingers for more
``batch_delivery``    a batch at the primary endpoint: tried, retried, split, settled
``payload_requests``  builds the request of a batch
``retry``             repeats an attempt until its time is over
``backoff``           how long to wait before a retry
``downgrade``         agents without the newer route
``dual_shipping``     additional endpoints
``ledger``            the counts of a track; ``totals``: those of all tracks
``drops``             counts refused payloads; logs and reports every drop
``outages``           logs when endpoints fail and recover
``recount``           corrects the counters of the limits
``work_deadline``     the deadline of the work, and waiting for it
====================  ================================================================

Imports: config, errors, options, protocol, runtime, stats, transport.
"""
