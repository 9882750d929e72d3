"""Where stored requests wait: in memory, on a disk, or in Kafka.

`request_queue` defines what all of them promise, `stored_request` the requests and their encoding;
`opening` opens the queue that a URL names. `confirmation` blocks a thread until a request is
stored, `put_timeouts` refuses those that are not stored in time, `wakeups` wakes the threads that
deliver.
"""
