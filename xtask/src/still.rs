//! Whether everything stands still now and then: a laptop sleeps, a virtual machine is paused, somebody stops all processes of
//! a kind. What was measured meanwhile says nothing of what is tortured.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);
/// Later than that nobody comes because others work, too.
const LATE: Duration = Duration::from_secs(1);

/// For so many milliseconds everything stood still.
static STOOD: OnceLock<&'static AtomicU64> = OnceLock::new();

/// For how long everything stood still since this was first asked.
pub(crate) fn stood_still() -> Duration {
    Duration::from_millis(STOOD.get_or_init(watch).load(Ordering::SeqCst))
}

fn watch() -> &'static AtomicU64 {
    static STOOD: AtomicU64 = AtomicU64::new(0);
    std::thread::spawn(|| {
        loop {
            let begun = Instant::now();
            std::thread::sleep(LOOK);
            let late = begun.elapsed();
            if late > LATE {
                let ms = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
                STOOD.fetch_add(ms, Ordering::SeqCst);
            }
        }
    });
    &STOOD
}

/// A time that does not run while everything stands still.
#[derive(Debug)]
pub(crate) struct Patience {
    begun: Instant,
    stood: Duration,
    limit: Duration,
}

impl Patience {
    pub(crate) fn of(limit: Duration) -> Self {
        Self { begun: Instant::now(), stood: stood_still(), limit }
    }

    pub(crate) fn lasts(&self) -> bool {
        self.begun.elapsed() < self.limit + (stood_still() - self.stood)
    }
}
