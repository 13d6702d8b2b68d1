//! What nodes say to each other, as text. It may be lost: whoever hears nothing finds out when it looks round.

use doorbell_core::id::EndpointId;

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// The configuration has changed.
    Configuration,
    /// Something waits, for more endpoints than could be named.
    LookRound,
    /// Something waits for these.
    Stirred(Vec<EndpointId>),
    /// Deliveries of the events at these places were lent to this node as they came in.
    Lent(i64, Vec<i64>),
}

/// Deliveries of the events at these places were lent to a node.
pub(super) fn lent(node: i64, places: &[i64]) -> String {
    let places: Vec<String> = places.iter().map(|place| format!("{place:x}")).collect();
    format!("lent {node} {}", places.join(" "))
}

/// What a text says. Of names only those that are some: a version to come may say more.
pub(super) fn read(text: &str) -> Notice {
    let mut words = text.split(' ');
    match words.next() {
        Some("configuration") => Notice::Configuration,
        Some("*") => Notice::LookRound,
        Some("lent") => {
            let node = words.next().and_then(|node| node.parse().ok()).unwrap_or_default();
            Notice::Lent(
                node,
                words.filter_map(|place| i64::from_str_radix(place, 16).ok()).collect(),
            )
        }
        _ => Notice::Stirred(text.split(' ').filter_map(|name| name.parse().ok()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_core::time::Time;

    #[test]
    fn what_is_said_is_heard() {
        assert_eq!(read("configuration"), Notice::Configuration);
        assert_eq!(read("*"), Notice::LookRound);
        let id = EndpointId::new(Time::EPOCH, 7);
        assert_eq!(read(&format!("{id} nonsense")), Notice::Stirred(vec![id]));
        let places = [1_790_000_000_000 << 20, 17];
        assert_eq!(read(&lent(3, &places)), Notice::Lent(3, places.to_vec()));
        assert_eq!(read("lent"), Notice::Lent(0, Vec::new()));
        let most = lent(i64::MAX, &[i64::MAX; 200]);
        assert!(most.len() < 8_000, "a notice has {} bytes", most.len());
    }
}
