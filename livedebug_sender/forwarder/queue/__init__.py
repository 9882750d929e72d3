"""Where stored requests wait: in memory, on a disk, or in Kafka.

`request_queue` says what each of them promises, `stored_request` what waits there and how
it is encoded, `opening` makes the one that a URL names.
"""
