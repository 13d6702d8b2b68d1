"""Takes events that Doorbell put on a NATS JetStream stream: verify, do the work once, acknowledge."""

import asyncio
import os

import nats
from nats.errors import TimeoutError as NothingCame

from work import Unsigned, Work


async def main():
    work = Work(os.environ["WEBHOOK_SECRET"], os.environ.get("DATABASE", "orders.db"))
    # It connects again by itself for as long as it takes.
    client = await nats.connect(os.environ["NATS_URL"], max_reconnect_attempts=-1)
    stream = client.jetstream()
    # A durable pull consumer: it is made when it is not there, and knows where it was.
    taking = await stream.pull_subscribe(os.environ.get("SUBJECT", ""), durable="orders", stream=os.environ.get("QUEUE", "ORDERS"))
    print("ready", flush=True)
    while True:
        try:
            messages = await taking.fetch(50, timeout=5)
        except (NothingCame, asyncio.TimeoutError):
            continue
        for message in messages:
            try:
                work.handle(message.headers or {}, message.data)
            except Unsigned as why:
                print(f"put aside: {why}", flush=True)
                await message.term()
            except Exception as why:
                print(f"given back: {why!r}", flush=True)
                await message.nak(delay=1)
            else:
                # Waits until the server has it, so that it is not given to us again.
                await message.ack_sync()


if __name__ == "__main__":
    asyncio.run(main())
