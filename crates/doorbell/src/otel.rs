//! Where traces go, by OpenTelemetry's own variables: so that they are set as for every other program beside this one.

use crate::remote::read_certificates;
use anyhow::{Context, Result, bail};
use doorbell_core::trace::Sampler;
use doorbell_server::traces::Collector;
use http::header::{HeaderName, HeaderValue};
use std::path::Path;
use std::time::Duration;
use url::Url;

/// How long one batch may take, where nobody says so.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where traces go and which; `None`: nowhere. `look_up` gives the value of a variable.
///
/// # Errors
/// When a variable cannot be used; the sentence says which.
pub(crate) fn traces(
    look_up: impl Fn(&str) -> Option<String>,
) -> Result<Option<(Sampler, Collector)>> {
    let of =
        |name: &str| look_up(name).map(|value| value.trim().to_owned()).filter(|v| !v.is_empty());
    // What is said of traces goes before what is said of all signals.
    let either = |name: &str| {
        of(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
            .or_else(|| of(&format!("OTEL_EXPORTER_OTLP_{name}")))
    };
    let off = of("OTEL_SDK_DISABLED").is_some_and(|word| word.eq_ignore_ascii_case("true"))
        || of("OTEL_TRACES_EXPORTER").is_some_and(|word| word == "none");
    let Some(url) = endpoint(&of)?.filter(|_| !off) else { return Ok(None) };
    if let Some(protocol) = either("PROTOCOL")
        && protocol == "grpc"
    {
        bail!(
            "OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and Doorbell speaks OTLP over HTTP: set it to http/json and the \
             endpoint to the collector's HTTP port (usually 4318)"
        );
    }
    let roots = either("CERTIFICATE").map(|file| read_certificates(Path::new(&file)));
    let target = Collector {
        url,
        headers: headers(&either("HEADERS").unwrap_or_default())?,
        timeout: timeout(either("TIMEOUT").as_deref())?,
        extra_roots: roots
            .transpose()
            .context("OTEL_EXPORTER_OTLP_CERTIFICATE")?
            .unwrap_or_default(),
        resource: resource(
            of("OTEL_SERVICE_NAME"),
            &of("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default(),
        ),
        version: env!("CARGO_PKG_VERSION"),
    };
    Ok(Some((sampler(&of)?, target)))
}

fn endpoint(of: &impl Fn(&str) -> Option<String>) -> Result<Option<Url>> {
    let (name, text) = if let Some(whole) = of("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", whole)
    } else if let Some(base) = of("OTEL_EXPORTER_OTLP_ENDPOINT") {
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}/v1/traces", base.trim_end_matches('/')))
    } else {
        return Ok(None);
    };
    let url = Url::parse(&text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    url.map(Some).with_context(|| {
        format!("{name} is no http:// or https:// address, such as http://localhost:4318")
    })
}

/// `name=value,name=value`, values percent-encoded.
fn headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>> {
    pairs(text)
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes());
            let mut value =
                HeaderValue::from_str(&value).context("OTEL_EXPORTER_OTLP_HEADERS: a value")?;
            value.set_sensitive(true);
            Ok((name.context("OTEL_EXPORTER_OTLP_HEADERS: a name")?, value))
        })
        .collect()
}

fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split(',').filter_map(|pair| pair.split_once('=')).map(|(name, value)| {
        // Here a plus is a plus.
        let form = format!("v={}", value.trim().replace('+', "%2B"));
        let decoded = url::form_urlencoded::parse(form.as_bytes()).next();
        (name.trim().to_owned(), decoded.map(|(_, value)| value.into_owned()).unwrap_or_default())
    })
}

fn timeout(ms: Option<&str>) -> Result<Duration> {
    let Some(ms) = ms else { return Ok(TIMEOUT) };
    let ms: u64 = ms.parse().context("OTEL_EXPORTER_OTLP_TIMEOUT is a number of milliseconds")?;
    Ok(Duration::from_millis(ms.clamp(1, 60_000)))
}

fn resource(service: Option<String>, attributes: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = pairs(attributes).collect();
    if let Some(service) = service {
        all.retain(|(name, _)| name != "service.name");
        all.push(("service.name".to_owned(), service));
    }
    if all.iter().all(|(name, _)| name != "service.name") {
        all.push(("service.name".to_owned(), "doorbell".to_owned()));
    }
    all
}

fn sampler(of: &impl Fn(&str) -> Option<String>) -> Result<Sampler> {
    let name = of("OTEL_TRACES_SAMPLER").unwrap_or_else(|| "parentbased_always_on".to_owned());
    let (parent_based, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, name.as_str()),
    };
    let ratio = match root {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => {
            let ratio = of("OTEL_TRACES_SAMPLER_ARG").map_or(Ok(1.0), |text| text.parse::<f64>());
            let ratio = ratio.ok().filter(|ratio| (0.0..=1.0).contains(ratio));
            ratio.context("OTEL_TRACES_SAMPLER_ARG is a share from 0 to 1")?
        }
        _ => bail!(
            "OTEL_TRACES_SAMPLER is {name:?}; known are always_on, always_off and traceidratio, and each behind parentbased_"
        ),
    };
    Ok(Sampler { parent_based, ratio })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<(Sampler, Collector)>> {
        traces(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318/");

    #[test]
    fn nothing_is_sent_unless_someone_says_where() {
        assert!(read(&[]).unwrap().is_none());
        assert!(read(&[("OTEL_SERVICE_NAME", "x")]).unwrap().is_none());
        assert!(read(&[BASE, ("OTEL_SDK_DISABLED", "true")]).unwrap().is_none());
        assert!(read(&[BASE, ("OTEL_TRACES_EXPORTER", "none")]).unwrap().is_none());
    }

    #[test]
    fn what_is_said_is_done() {
        let variables = [
            BASE,
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a+b, x-tenant = 7"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=prod,service.name=other"),
            ("OTEL_SERVICE_NAME", "bell"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ];
        let (sampler, target) = read(&variables).unwrap().unwrap();
        assert_eq!(target.url.as_str(), "http://localhost:4318/v1/traces");
        assert_eq!(sampler, Sampler { parent_based: true, ratio: 0.25 });
        assert_eq!(target.timeout, Duration::from_millis(1500));
        let lines: Vec<_> =
            target.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(lines, [("authorization", "Bearer a+b"), ("x-tenant", "7")]);
        let resource = [("deployment.environment", "prod"), ("service.name", "bell")];
        assert_eq!(target.resource, resource.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert!(!format!("{target:?}").contains("Bearer"), "{target:?}");
        let own = [BASE, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c.example/x")];
        assert_eq!(read(&own).unwrap().unwrap().1.url.as_str(), "https://c.example/x");
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "localhost:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ] {
            let why = read(&[BASE, (name, value)]).unwrap_err().to_string();
            assert!(why.contains("OTEL_"), "{why}");
        }
    }
}
