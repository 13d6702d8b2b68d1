/** Takes events that Doorbell put on a RabbitMQ queue: verify, do the work once, acknowledge. */

import { timingSafeEqual } from "node:crypto";
import { closeSync, existsSync, fdatasyncSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type ConsumeMessage } from "amqplib";
import { Webhook } from "standardwebhooks";

const QUEUE = process.env.QUEUE ?? "orders";

/** Nobody whom we know signed it. To take it again would not help. */
class Unsigned extends Error {}

/**
 * What was done, and that it was done, in one line of a file: a stand-in for your database, where both are one transaction.
 * What is not in that transaction (a payment, a mail) takes the event's id as its idempotency key.
 */
class Work {
  private readonly done = new Set<string>();
  private readonly file: number;

  constructor(path: string) {
    const text = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
    // A line without an end was cut by a crash: it was never acknowledged, and comes again.
    const whole = text.subarray(0, text.lastIndexOf(0x0a) + 1);
    if (whole.length < text.length) truncateSync(path, whole.length);
    for (const line of whole.toString().split("\n").filter(Boolean)) this.done.add(JSON.parse(line).event);
    this.file = openSync(path, "a");
  }

  /** Returns when it is durable. */
  once(event: string, body: Buffer): void {
    if (this.done.has(event)) return;
    writeSync(this.file, JSON.stringify({ event, body: body.toString("base64") }) + "\n");
    fdatasyncSync(this.file);
    this.done.add(event);
  }

  close(): void {
    closeSync(this.file);
  }
}

/** The id of the event, if the signature over the body holds. */
function verified(webhook: Webhook, headers: Record<string, unknown>, body: Buffer): string {
  const [id, time, given] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map((name) => String(headers[name] ?? ""));
  if (!id || !given || !/^\d+$/.test(time ?? "")) throw new Unsigned("its headers are missing");
  // The library's own check also wants the message to be young; this one may have waited in the queue, and repeats are known
  // by their id. So the time is not judged here, only the signature.
  const expected = Buffer.from(webhook.sign(id, new Date(Number(time) * 1000), body.toString()));
  // There are several while a secret is changed.
  const holds = given.split(" ").map((one) => Buffer.from(one)).some((one) => one.length === expected.length && timingSafeEqual(one, expected));
  if (!holds) throw new Unsigned("the signature does not hold");
  return id;
}

async function consume(webhook: Webhook, work: Work): Promise<void> {
  const connection = await connect(process.env.AMQP_URL!);
  const closed = new Promise<void>((resolve) => connection.once("close", () => resolve()));
  // Without a listener an error would end the process; "close" follows it.
  connection.on("error", (why) => console.log(`the connection broke: ${why}`));
  const channel = await connection.createChannel();
  channel.on("error", (why) => console.log(`the channel broke: ${why}`));
  channel.once("close", () => void connection.close().catch(() => {}));
  // So many are in hand at once; the others wait in the queue or go to other workers.
  await channel.prefetch(50);
  await channel.consume(QUEUE, (message: ConsumeMessage | null) => {
    // The queue was deleted.
    if (message === null) return void connection.close().catch(() => {});
    try {
      const id = verified(webhook, message.properties.headers ?? {}, message.content);
      work.once(id, message.content);
      channel.ack(message);
    } catch (why) {
      // What nobody signed goes to the dead-letter queue, where the queue has one. Anything else is ours to repair: it comes
      // again, at most as often as the queue's delivery limit says.
      console.log(`not done: ${why}`);
      channel.nack(message, false, !(why instanceof Unsigned));
    }
  });
  console.log("ready");
  await closed;
}

const webhook = new Webhook(process.env.WEBHOOK_SECRET!);
const work = new Work(process.env.DATABASE ?? "orders.jsonl");
process.once("exit", () => work.close());
for (;;) {
  // The broker restarts, or the network broke: what was not acknowledged comes again.
  await consume(webhook, work).catch((why) => console.log(`no connection, trying again: ${why}`));
  await sleep(1000);
}
