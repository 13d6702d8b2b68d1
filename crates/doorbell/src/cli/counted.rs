//! Numbers in sentences.

/// `1 hit`, `2 hits`.
pub(super) fn count(of: u64, what: &str) -> String {
    format!("{of} {what}{}", if of == 1 { "" } else { "s" })
}

/// What goes with an endpoint that is removed.
pub(super) fn goes(waiting: u64) -> String {
    match waiting {
        0 => "  nothing waits for it".to_owned(),
        1 => "  1 delivery waits for it, and is discarded".to_owned(),
        COUNTED => format!("  {COUNTED} deliveries or more wait for it, and are discarded"),
        some => format!("  {some} deliveries wait for it, and are discarded"),
    }
}

/// So many waiting deliveries are counted at most.
pub(super) const COUNTED: u64 = 1_000;
