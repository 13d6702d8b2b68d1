//! Every key there is. The file, the environment, the flags, `config show` and the reference page are all read from here.

/// The data folder, unless another is named: in it the commands look for their server.
pub(crate) const DATA_DIR: &str = "doorbell-data";

/// One key of the settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// Where it stands in the file: `section.name`.
    pub(crate) path: &'static str,
    /// What holds when nobody says anything; empty: unset.
    pub(crate) default: &'static str,
    /// Whether it takes several values.
    pub(crate) many: bool,
    /// What it does, with its unit.
    pub(crate) doc: &'static str,
}

impl Key {
    /// `ingest.addr` is `DOORBELL_INGEST_ADDR` in the environment.
    pub(crate) fn variable(&self) -> String {
        format!("DOORBELL_{}", self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// `ingest.addr` is `--ingest-addr` on the command line; of `store.*` and `delivery.*` the last part is enough.
    pub(crate) fn flag(&self) -> String {
        let path = self.path;
        if let Some(section) = path.strip_suffix(".url") {
            return section.to_owned();
        }
        let short = path.strip_prefix("store.").or_else(|| path.strip_prefix("delivery."));
        short.unwrap_or(path).replace(['.', '_'], "-")
    }

    /// A value as it may be shown: without the password that an address has in it.
    pub(crate) fn shown(&self, value: &str) -> String {
        if self.path.ends_with("url") { masked(value) } else { value.to_owned() }
    }

    /// A shorter name of the flag.
    pub(crate) fn alias(&self) -> Option<&'static str> {
        (self.path == "data_dir").then_some("data")
    }
}

/// The address of a database without its password: `scheme://user:password@…`, or `password=…` among words.
pub(crate) fn masked(address: &str) -> String {
    let authority = address.split_once("://").map(|(_, rest)| rest);
    let userinfo = authority.and_then(|rest| rest.rsplit_once('@')).map(|(userinfo, _)| userinfo);
    if let Some((_, password)) = userinfo.and_then(|userinfo| userinfo.split_once(':')) {
        return address.replacen(&format!(":{password}@"), ":***@", 1);
    }
    let word = |word: &str| match word.split_once("password=") {
        Some((before, _)) => format!("{before}password=***"),
        None => word.to_owned(),
    };
    address.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

const fn one(path: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { path, default, many: false, doc }
}

const fn many(path: &'static str, doc: &'static str) -> Key {
    Key { path, default: "", many: true, doc }
}

/// The table.
pub(crate) const KEYS: &[Key] = &[
    one("data_dir", DATA_DIR, "Folder that holds everything; made when it is missing"),
    many(
        "role",
        "What the node does: ingest, deliver, api; empty: all. Only with store.url may some be left out",
    ),
    one("drain", "30s", "How long a stop waits for requests and deliveries in flight"),
    one(
        "drain_delay",
        "0s",
        "How long a stop goes on as before while /readyz says 503, so that load balancers send elsewhere first",
    ),
    one("ingest.addr", "0.0.0.0:8080", "Address that receives webhooks"),
    one("ingest.prefix", "in", "First part of the path: /in/{source}"),
    one(
        "ingest.public_url",
        "",
        "Address under which providers reach this server, for schemes that sign the URL",
    ),
    one("ingest.tls_cert", "", "Certificate chain (PEM); read again when it changes"),
    one("ingest.tls_key", "", "Private key (PEM); read again when it changes"),
    many("ingest.trusted_proxies", "Networks whose X-Forwarded-For is believed"),
    one("ingest.max_connections", "20000", "Connections at once; more are turned away"),
    one("ingest.header_deadline", "10s", "How long a sender may take over its header block"),
    one(
        "ingest.idle_deadline",
        "30s",
        "How long a sender may pause, and an idle connection is kept",
    ),
    one("ingest.body_deadline", "120s", "How long a sender may take over its body"),
    one(
        "ingest.bodies_in_flight",
        "256MiB",
        "Bytes of bodies in memory at once; past it senders get 503",
    ),
    one("admin.addr", "127.0.0.1:8081", "Address of the API"),
    one("admin.tls_cert", "", "Certificate chain (PEM) of the API"),
    one("admin.tls_key", "", "Private key (PEM) of the API"),
    many(
        "admin.hosts",
        "Host names under which the API may be called, beside localhost and its address",
    ),
    one(
        "inbox.url",
        "",
        "Queue in which events wait before they get to the store, so that they are taken in while that is away: amqp://user:password@host/vhost, nats://host/subject, sqs://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE; empty: none",
    ),
    one(
        "store.url",
        "",
        "Database that all nodes share: postgres://user:password@host/database; empty: an embedded store in data_dir",
    ),
    one(
        "store.bodies_url",
        "",
        "Object store in which large bodies lie instead of in the database: s3+https://s3.REGION.amazonaws.com/BUCKET/FOLDER, s3+http:// without TLS; empty: none",
    ),
    one("store.bodies_over", "256KiB", "Bodies of more bytes lie there"),
    one(
        "store.retention_age",
        "7d",
        "What is older is forgotten, unless it still waits; empty: never",
    ),
    one(
        "store.retention_bytes",
        "",
        "Beyond so many bytes the oldest is forgotten; empty: see retention_share",
    ),
    one(
        "store.retention_share",
        "0.5",
        "Share of the disk that may be used, when retention_bytes is not set",
    ),
    one(
        "store.free_bytes_min",
        "256MiB",
        "With less free space new webhooks get 503; deliveries go on down to half of it; at least 8MiB",
    ),
    one("store.segment_bytes", "64MiB", "Size of a journal segment"),
    many(
        "delivery.allow_private",
        "Private networks that endpoints may lie in: 10.0.0.0/8, fd00::/8, loopback",
    ),
    one("delivery.allow_http", "true", "Whether endpoints may be plain http://"),
    one(
        "delivery.max_in_flight",
        "8192",
        "Places for tries at once: an endpoint may have out as many as are free (one alone: half of them); each takes an open file and some 30 KB of memory (`cargo xtask bench slow`)",
    ),
    many("delivery.ca_files", "Certificates (PEM) that are trusted beside the public ones"),
    one(
        "log.level",
        "info",
        "error, warn, info, debug or trace, or a filter such as doorbell_server=debug",
    ),
    one("log.format", "text", "text or json"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_password_is_not_shown() {
        let cases = [
            ("postgres://me:s3cret@db/x?sslmode=require", "postgres://me:***@db/x?sslmode=require"),
            ("postgres://me:p@ss:w@db/x", "postgres://me:***@db/x"),
            ("postgres://me@db/x", "postgres://me@db/x"),
            ("host=db user=me password=s3cret", "host=db user=me password=***"),
        ];
        for (address, shown) in cases {
            assert_eq!(masked(address), shown);
        }
    }

    #[test]
    fn no_two_keys_share_a_name() {
        let flags: BTreeSet<String> = KEYS.iter().map(Key::flag).collect();
        let variables: BTreeSet<String> = KEYS.iter().map(Key::variable).collect();
        assert_eq!((flags.len(), variables.len()), (KEYS.len(), KEYS.len()));
    }
}
