"""A Kafka of librdkafka's own making, in a process of its own: prints its address, then serves.

It ends with the process that started it.
"""

import os
import time

from confluent_kafka import Producer

PARTITIONS = 4  # what the mock gives a topic
LOOK_SECONDS = 0.5

if __name__ == "__main__":
    parent = os.getppid()
    # The producer is the cluster; nothing is produced with it.
    cluster = Producer({"test.mock.num.brokers": "1", "log_level": 0})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    print(f"{broker.host}:{broker.port}", flush=True)
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
