//! The embedded home keeps the promises, over and over on small segments.

use doorbell_core::time::Time;
use doorbell_store::contract::Homes;
use doorbell_store::embedded::{Embedded, Options};
use std::time::Duration;

/// Opens the store in one directory, again and again.
struct OnDisk {
    dir: tempfile::TempDir,
}

fn on_disk() -> OnDisk {
    OnDisk { dir: tempfile::tempdir().unwrap() }
}

impl Homes for OnDisk {
    type Home = Embedded;

    async fn open(&mut self) -> Embedded {
        let options = Options {
            segment_bytes: 16 << 10,
            reserve_bytes: 0,
            index_lag: Duration::from_millis(1),
            ..Options::at(Time::EPOCH)
        };
        Embedded::open(self.dir.path(), options).unwrap()
    }
}

mod contract {
    use super::on_disk;
    doorbell_store::contract_tests!(lasting: on_disk());
}
