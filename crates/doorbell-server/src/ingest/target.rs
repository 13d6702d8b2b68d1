//! What a request target asks for: `/{prefix}/{source}[/anything][?query]`, or one of the health checks.

use crate::health::Probe;

/// What is asked for. The texts stand as they came, percent-encoding included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// A source, by name or id.
    Source {
        /// Its name or id.
        source: &'a str,
        /// What stands behind it: empty, or from its `/` on.
        path: &'a str,
        /// The query without its `?`.
        query: Option<&'a str>,
    },
    /// A health check.
    Health(Probe),
    /// Nothing that we know.
    Nothing,
}

/// Reads a target in origin form (`/in/x?y`) or absolute form (`http://host/in/x?y`); RFC 9112, section 3.2. `prefix` is
/// without slashes.
pub(crate) fn read<'a>(prefix: &str, target: &'a str) -> Target<'a> {
    let target = origin_form(target).split('#').next().unwrap_or_default();
    let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
    if let Some(probe) = Probe::at(path) {
        return Target::Health(probe);
    }
    let rest = path.strip_prefix('/').and_then(|p| p.strip_prefix(prefix));
    let Some(rest) = rest.and_then(|p| p.strip_prefix('/')) else { return Target::Nothing };
    let (source, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if source.is_empty() { Target::Nothing } else { Target::Source { source, path, query } }
}

fn origin_form(target: &str) -> &str {
    if target.starts_with('/') {
        return target;
    }
    let Some((_, rest)) = target.split_once("://") else { return "" };
    rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_targets() {
        let source = |target| match read("in", target) {
            Target::Source { source, path, query } => Some((source, path, query)),
            Target::Health(_) | Target::Nothing => None,
        };
        assert_eq!(source("/in/github"), Some(("github", "", None)));
        assert_eq!(source("/in/github?"), Some(("github", "", Some(""))));
        assert_eq!(source("/in/a/b%2Fc/?x=1?y#z"), Some(("a", "/b%2Fc/", Some("x=1?y"))));
        assert_eq!(source("http://h:1/in/a/"), Some(("a", "/", None)));
        for other in
            ["/", "/in", "/in/", "/in//x", "/inn/a", "/out/a", "*", "h:443", "in/a", "http://h", ""]
        {
            assert_eq!(read("in", other), Target::Nothing, "{other}");
        }
        assert_eq!(read("in", "/readyz?x"), Target::Health(Probe::Ready));
        assert_eq!(read("in", "/healthz"), Target::Health(Probe::Alive));
    }
}
