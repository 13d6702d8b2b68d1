"""Takes events that Doorbell put on a RabbitMQ queue: verify, do the work once, acknowledge."""

import os
import time

import pika

from work import Unsigned, Work

QUEUE = os.environ.get("QUEUE", "orders")


def main():
    work = Work(os.environ["WEBHOOK_SECRET"], os.environ.get("DATABASE", "orders.db"))
    while True:
        try:
            consume(work)
        except pika.exceptions.AMQPError as why:
            # The broker restarts, or the network broke: what was not acknowledged comes again.
            print(f"no connection, trying again: {why!r}", flush=True)
            time.sleep(1)


def consume(work):
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
    channel = connection.channel()
    # So many are in hand at once; the others wait in the queue or go to other workers.
    channel.basic_qos(prefetch_count=50)
    print("ready", flush=True)
    for method, properties, body in channel.consume(QUEUE):
        try:
            work.handle(properties.headers or {}, body)
        except Unsigned as why:
            # To the dead-letter queue, where the queue has one.
            print(f"put aside: {why}", flush=True)
            channel.basic_reject(method.delivery_tag, requeue=False)
        except Exception as why:
            # Ours to repair: it comes again, at most as often as the queue's delivery limit says.
            print(f"given back: {why!r}", flush=True)
            channel.basic_reject(method.delivery_tag, requeue=True)
        else:
            channel.basic_ack(method.delivery_tag)


if __name__ == "__main__":
    main()
