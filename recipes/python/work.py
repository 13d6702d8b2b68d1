"""What both consumers do with an event: once, and together with the note that it was done."""

import sqlite3

import standardwebhooks

STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")


class Unsigned(Exception):
    """Nobody whom we know signed it. To take it again would not help."""


class Work:
    def __init__(self, secret, database):
        self.webhook = standardwebhooks.Webhook(secret)
        self.database = sqlite3.connect(database, isolation_level=None)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = FULL")
        self.database.execute("CREATE TABLE IF NOT EXISTS done (id TEXT PRIMARY KEY)")
        self.database.execute("CREATE TABLE IF NOT EXISTS orders (event TEXT, body BLOB)")

    def handle(self, headers, body):
        """Verifies, works, and returns when all of it is durable."""
        signed = {name: headers.get(name, "") for name in STANDARD}
        try:
            # Its own tolerance is five minutes; a message may have waited longer in the queue, and repeats are known by
            # their id. So the time is not judged here, only the signature.
            expected = self.webhook.sign(signed["webhook-id"], timestamp(signed["webhook-timestamp"]), body.decode())
        except (UnicodeDecodeError, ValueError, OverflowError) as why:
            raise Unsigned(str(why)) from why
        if not same(expected, signed["webhook-signature"]):
            raise Unsigned("the signature does not hold")
        self.once(signed["webhook-id"], body)

    def once(self, event, body):
        self.database.execute("BEGIN IMMEDIATE")
        try:
            new = self.database.execute("INSERT OR IGNORE INTO done VALUES (?)", (event,)).rowcount
            if new:
                # Your work. What is not in this database (a payment, a mail) takes the event's id as its idempotency key.
                self.database.execute("INSERT INTO orders VALUES (?, ?)", (event, body))
            self.database.execute("COMMIT")
        except BaseException:
            self.database.execute("ROLLBACK")
            raise


def timestamp(text):
    import datetime
    return datetime.datetime.fromtimestamp(int(text), tz=datetime.timezone.utc)


def same(expected, given):
    """Whether one of the signatures given (there are several while a secret is changed) is the one."""
    import hmac
    return any(hmac.compare_digest(expected.encode(), one.encode()) for one in given.split(" "))
