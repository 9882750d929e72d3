"""Stored requests in a Kafka topic, which any number of forwarders share.

`queue` is the `RequestQueue`. `producer` writes records and waits for the brokers' word,
`consumer` takes part in the group, reads ahead and commits; `reader` reads without taking
part. What they share is pure: `records` (a request in records of a size that the brokers
take, and back), `offsets` (what of a partition is done). `topic` looks at the topic before
anything is promised, `clients` knows the settings of the Kafka clients.
"""
