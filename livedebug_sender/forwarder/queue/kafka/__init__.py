"""Stored requests in a Kafka topic, which any number of forwarders share.

`queue` is the `RequestQueue`. `producer` writes records and tells when the brokers have confirmed
them; `consumer` is a member of the consumer group, reads ahead and commits; `reader` reads without
being a member. Without I/O: `records` (splits a request into records of a size that the brokers
accept, and joins them), `offsets` (which offsets of a partition are done). `topic` checks the topic
before it is used, `clients` has the settings of the Kafka clients.
"""
