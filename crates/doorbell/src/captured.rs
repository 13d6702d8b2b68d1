//! Requests as people have them at hand: what a server wrote down, a `curl` command, a browser's HAR, our own JSON.
//!
//! The form is recognised by its beginning. Nothing in here trusts its input: whatever is given, the answer is a request
//! or a sentence that says what is missing.

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

/// Bytes of a file that are looked at.
pub(crate) const CAPTURED_MAX: usize = 64 << 20;
/// Header lines that are taken.
const HEADERS_MAX: usize = 1_000;

/// A request, byte for byte as far as the form keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Captured {
    pub(crate) method: String,
    /// The URL where it is known, else the path with its query.
    pub(crate) url: String,
    /// Bytes at its beginning that are assumed: the capture has only the path.
    pub(crate) assumed_before: Option<usize>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    /// When it came in, as it was written down.
    pub(crate) at: Option<String>,
    /// What the form has lost, in a sentence.
    pub(crate) doubt: Option<String>,
}

/// Reads a captured request in whichever form it is.
///
/// # Errors
/// A sentence that says what was expected.
pub(crate) fn parse(bytes: &[u8]) -> Result<Captured> {
    ensure!(bytes.len() <= CAPTURED_MAX, "the capture is larger than {} MiB", CAPTURED_MAX >> 20);
    let start = bytes.trim_ascii_start();
    ensure!(!start.is_empty(), "the capture is empty");
    if start.starts_with(b"{") || start.starts_with(b"[") {
        return json(&serde_json::from_slice(start).context("the capture begins like JSON")?);
    }
    if start.starts_with(b"curl ") || start.starts_with(b"curl\t") || start.starts_with(b"curl\\") {
        return curl(std::str::from_utf8(start).context("the curl command is no UTF-8")?);
    }
    raw(start)
}

/// A raw HTTP request: its line, its header lines, an empty line, its body to the end.
fn raw(bytes: &[u8]) -> Result<Captured> {
    let (first, mut rest) = line(bytes);
    let first = std::str::from_utf8(first).unwrap_or_default();
    let mut words = first.split_ascii_whitespace();
    let (method, url) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let good = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
    if !good || url.is_empty() || words.next().is_some_and(|version| !version.starts_with("HTTP/"))
    {
        bail!(
            "this is no captured request: give a raw HTTP request (POST /path HTTP/1.1 …), a curl command, a HAR entry, \
             or what `doorbell request get --json` prints"
        );
    }
    let mut all = Captured { method: method.into(), url: url.into(), ..Captured::default() };
    loop {
        let (head, after) = line(rest);
        let ended = after.len() == rest.len();
        rest = after;
        if head.is_empty() || ended {
            break;
        }
        let colon = head.iter().position(|b| *b == b':');
        let (name, value) = colon.and_then(|at| head.split_at_checked(at)).with_context(|| {
            format!("{:?} is no header line: write Name: value", String::from_utf8_lossy(head))
        })?;
        header(&mut all, &String::from_utf8_lossy(name), value.get(1..).unwrap_or_default())?;
    }
    all.body = rest.to_vec();
    cut_to_length(&mut all);
    absolute(&mut all);
    Ok(all)
}

/// An editor adds a line's end to the file: `Content-Length` says that it is not the body's.
fn cut_to_length(all: &mut Captured) {
    let said = all.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let said = said.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse::<usize>().ok());
    let Some(said) = said else { return };
    let surplus = all.body.get(said..).unwrap_or_default();
    if surplus == b"\n" || surplus == b"\r\n" {
        all.body.truncate(said);
    } else if all.body.len() != said {
        let found = all.body.len();
        all.doubt =
            Some(format!("Content-Length says {said} bytes, and the capture's body has {found}."));
    }
}

/// The line without its end, and what stands behind it.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let Some(end) = bytes.iter().position(|b| *b == b'\n') else { return (bytes, &[]) };
    let (line, rest) = bytes.split_at(end);
    (line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or_default())
}

fn header(all: &mut Captured, name: &str, value: &[u8]) -> Result<()> {
    ensure!(all.headers.len() < HEADERS_MAX, "more than {HEADERS_MAX} header lines");
    all.headers.push((name.trim().to_owned(), value.trim_ascii().to_vec()));
    Ok(())
}

/// Makes a whole URL of a path, where a `Host` is known.
fn absolute(all: &mut Captured) {
    let host = all.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = host.and_then(|(_, value)| std::str::from_utf8(value).ok());
    if let Some(host) = host.filter(|_| all.url.starts_with('/')) {
        let before = format!("https://{host}");
        all.assumed_before = Some(before.len());
        all.url = before + &all.url;
    }
}

/// A `curl` command, as browsers, Postman and request inspectors copy it.
fn curl(text: &str) -> Result<Captured> {
    let words = words(text)?;
    let mut all = Captured::default();
    let mut data: Vec<Vec<u8>> = Vec::new();
    let mut words = words.into_iter().skip(1);
    while let Some(word) = words.next() {
        let (flag, glued) = split_flag(&word);
        let mut value = || match &glued {
            Some(value) => Ok(value.clone()),
            None => words.next().with_context(|| format!("curl: nothing stands behind {flag}")),
        };
        match flag.as_str() {
            "-X" | "--request" => all.method = value()?,
            "-H" | "--header" => {
                let text = value()?;
                let (name, value) = text.split_once([':', ';']).unwrap_or((&text, ""));
                header(&mut all, name, value.as_bytes())?;
            }
            "-A" | "--user-agent" => header(&mut all, "user-agent", value()?.as_bytes())?,
            "-u" | "--user" => {
                let text = encoded(value()?.as_bytes());
                header(&mut all, "authorization", format!("Basic {text}").as_bytes())?;
            }
            "-d" | "--data" | "--data-ascii" => data.push(stripped(&value()?)?),
            "--data-raw" => data.push(value()?.into_bytes()),
            "--data-binary" => data.push(plain(&value()?)?),
            "--json" => {
                data.push(plain(&value()?)?);
                header(&mut all, "content-type", b"application/json")?;
            }
            "--url" => all.url = value()?,
            "-b" | "--cookie" | "-o" | "--output" | "-m" | "--max-time" | "-e" | "--referer" => {
                value()?;
            }
            _ if flag.starts_with('-') => {}
            _ => all.url = word,
        }
    }
    ensure!(!all.url.is_empty(), "the curl command names no URL");
    if !all.url.contains("://") {
        all.url = format!("http://{}", all.url);
    }
    all.body = data.join(&b'&');
    if all.method.is_empty() {
        all.method = if data.is_empty() { "GET" } else { "POST" }.to_owned();
    }
    let typed = all.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !typed && !data.is_empty() {
        header(&mut all, "content-type", b"application/x-www-form-urlencoded")?;
    }
    Ok(all)
}

/// `-XPOST` and `--request=POST` have their value with them.
fn split_flag(word: &str) -> (String, Option<String>) {
    if let Some((flag, value)) = word.split_once('=').filter(|_| word.starts_with("--")) {
        return (flag.to_owned(), Some(value.to_owned()));
    }
    let short = ["-X", "-H", "-d", "-A", "-u"].into_iter().find(|flag| word.starts_with(flag));
    match short.and_then(|flag| Some((flag, word.strip_prefix(flag)?))) {
        Some((flag, value)) if !value.is_empty() => (flag.to_owned(), Some(value.to_owned())),
        _ => (word.to_owned(), None),
    }
}

/// No file is read on the word of a command that somebody sent: `@file` is refused.
fn plain(text: &str) -> Result<Vec<u8>> {
    if let Some(file) = text.strip_prefix('@') {
        bail!(
            "the curl command takes its body from the file {file}: put the body itself into the command, or take `@{file}` out of it and give the file by --body"
        );
    }
    Ok(text.as_bytes().to_vec())
}

/// `-d` leaves out line ends.
fn stripped(text: &str) -> Result<Vec<u8>> {
    let mut bytes = plain(text)?;
    bytes.retain(|b| *b != b'\n' && *b != b'\r');
    Ok(bytes)
}

/// The words of a POSIX shell command: quotes, backslashes, and bash's `$'…'`.
fn words(text: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => quoted(&mut rest, word.get_or_insert_default())?,
            '"' => double_quoted(&mut rest, word.get_or_insert_default())?,
            '$' if rest.peek() == Some(&'\'') => {
                rest.next();
                c_quoted(&mut rest, word.get_or_insert_default())?;
            }
            '\\' => match rest.next() {
                Some('\r') if rest.peek() == Some(&'\n') => drop(rest.next()),
                Some('\n') | None => {}
                Some(other) => word.get_or_insert_default().push(other),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn open(quote: char) -> anyhow::Error {
    anyhow!("the curl command has a {quote} that is not closed")
}

fn quoted(rest: &mut Chars<'_>, word: &mut String) -> Result<()> {
    loop {
        match rest.next() {
            Some('\'') => return Ok(()),
            Some(c) => word.push(c),
            None => return Err(open('\'')),
        }
    }
}

fn double_quoted(rest: &mut Chars<'_>, word: &mut String) -> Result<()> {
    loop {
        match rest.next() {
            Some('"') => return Ok(()),
            Some('\\') => match rest.next() {
                Some('\n') => {}
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => return Err(open('"')),
            },
            Some(c) => word.push(c),
            None => return Err(open('"')),
        }
    }
}

fn c_quoted(rest: &mut Chars<'_>, word: &mut String) -> Result<()> {
    loop {
        match rest.next() {
            Some('\'') => return Ok(()),
            Some('\\') => match rest.next() {
                Some('n') => word.push('\n'),
                Some('r') => word.push('\r'),
                Some('t') => word.push('\t'),
                Some('x') => word.push(code(rest, 2)?),
                Some('u') => word.push(unicode(rest)?),
                Some(c) => word.push(c),
                None => return Err(open('\'')),
            },
            Some(c) => word.push(c),
            None => return Err(open('\'')),
        }
    }
}

/// `\u00e9`, and the two halves of `\ud83d\ude00`.
fn unicode(rest: &mut Chars<'_>) -> Result<char> {
    let high = number(rest, 4)?;
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(high).context("the curl command has half a character");
    }
    let pair = rest.next() == Some('\\') && rest.next() == Some('u');
    let low = if pair { number(rest, 4)? } else { 0 };
    let whole = low.checked_sub(0xdc00).map(|low| 0x1_0000 + ((high - 0xd800) << 10) + low);
    whole.and_then(char::from_u32).context("the curl command has half a character")
}

/// `\x41`; above 0x7f the byte is no character by itself.
fn code(rest: &mut Chars<'_>, digits: usize) -> Result<char> {
    let found = char::from_u32(number(rest, digits)?).filter(char::is_ascii);
    found.context("the curl command has bytes that are no text: save the body and the headers as a raw request")
}

fn number(rest: &mut Chars<'_>, digits: usize) -> Result<u32> {
    let mut value = 0;
    for at in 0..digits {
        match rest.peek().and_then(|c| c.to_digit(16)) {
            Some(digit) => {
                value = value * 16 + digit;
                rest.next();
            }
            None if at > 0 => break,
            None => bail!("the curl command has an escape without digits"),
        }
    }
    Ok(value)
}

/// Our own JSON, a HAR, one entry of it, or only its request.
fn json(all: &Value) -> Result<Captured> {
    let entry = all.pointer("/log/entries/0").or_else(|| all.get(0)).unwrap_or(all);
    let request = entry.get("request").unwrap_or(entry);
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut found = Captured {
        method: text(request, "method").context(
            "the JSON is neither a HAR entry nor what `doorbell request get --json` prints: it has no request with a method",
        )?,
        at: text(entry, "startedDateTime").or_else(|| text(entry, "at")),
        ..Captured::default()
    };
    for line in request.get("headers").and_then(Value::as_array).into_iter().flatten() {
        let name = text(line, "name").unwrap_or_default();
        let hidden = text(line, "value_base64").map(|text| decoded(&text)).transpose()?;
        let value = hidden.or_else(|| text(line, "value").map(String::into_bytes));
        // HTTP/2's own lines are none of the message's.
        if !name.starts_with(':') {
            header(&mut found, &name, &value.unwrap_or_default())?;
        }
    }
    if found.headers.iter().any(|(_, value)| value == b"***") {
        found.doubt =
            Some("Some headers are hidden (***): ask with a token of scope admin.".into());
    }
    match text(request, "url") {
        Some(url) => {
            found.url = url;
            posted(request, &mut found)?;
        }
        None => ours(entry, request, &mut found)?,
    }
    Ok(found)
}

/// The body of a HAR request; `encoding` is what Fiddler and mitmproxy add.
fn posted(request: &Value, found: &mut Captured) -> Result<()> {
    let text = request.pointer("/postData/text").and_then(Value::as_str).unwrap_or_default();
    let encoding = request.pointer("/postData/encoding").and_then(Value::as_str);
    found.body = if encoding == Some("base64") { decoded(text)? } else { text.as_bytes().to_vec() };
    Ok(())
}

/// The rest of what `doorbell request get --json` prints.
fn ours(entry: &Value, request: &Value, found: &mut Captured) -> Result<()> {
    let text = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(str::to_owned);
    let query = text(request, "query").map(|query| format!("?{query}")).unwrap_or_default();
    let source = text(entry, "source_name").unwrap_or_default();
    let path = text(request, "path").unwrap_or_default();
    found.url = format!("/in/{source}{path}{query}");
    absolute(found);
    let body = request.get("body").context("the JSON's request has no body")?;
    found.body = match text(body, "base64") {
        Some(text) => decoded(&text)?,
        None => text(body, "text").unwrap_or_default().into_bytes(),
    };
    if body.get("truncated") == Some(&Value::Bool(true)) {
        found.doubt = Some(
            "Only the beginning of the body is in this JSON: get it whole with `doorbell request body` and give it with --body."
                .into(),
        );
    }
    Ok(())
}

fn decoded(text: &str) -> Result<Vec<u8>> {
    use webhook_signatures::Encoding;
    Encoding::Base64.decode(text.trim().as_bytes()).context("the JSON's base64 cannot be read")
}

fn encoded(bytes: &[u8]) -> String {
    webhook_signatures::Encoding::Base64.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn header<'a>(all: &'a Captured, name: &str) -> &'a str {
        let found = all.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        std::str::from_utf8(&found.unwrap().1).unwrap()
    }

    #[test]
    fn raw_requests() {
        let text = b"POST /in/gh?a=b HTTP/1.1\r\nHost: hooks.example.com\r\nX-Sig:  a:b \r\nContent-Length: 5\r\n\r\n{}\r\n\xff\n";
        let all = parse(text).unwrap();
        assert_eq!(
            (all.method.as_str(), all.url.as_str()),
            ("POST", "https://hooks.example.com/in/gh?a=b")
        );
        assert_eq!((header(&all, "x-sig"), &all.body[..]), ("a:b", &b"{}\r\n\xff"[..]));
        assert_eq!(all.doubt, None, "an editor's line end is not the body's");
        let short = parse(b"POST / HTTP/1.1\nContent-Length: 9\n\n{}").unwrap();
        assert!(short.doubt.unwrap().contains("9 bytes"));
        assert_eq!(parse(b"GET / HTTP/1.1").unwrap().headers, []);
        for bad in [&b""[..], b"  \n", b"hello world", b"POST /\nno colon\n\n", b"{}", b"[1]"] {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn curl_commands() {
        let text = r#"curl -sS 'https://example.com/in/a?x=1' \
            -H "X-Sig: \"q\"" -H 'content-type: application/json' --compressed \
            --data-raw $'{"n":"it\'s \u00e9 \ud83d\ude00\n"}'"#;
        let all = parse(text.as_bytes()).unwrap();
        assert_eq!(
            (all.method.as_str(), all.url.as_str()),
            ("POST", "https://example.com/in/a?x=1")
        );
        assert_eq!(header(&all, "x-sig"), "\"q\"");
        assert_eq!(all.body, "{\"n\":\"it's é 😀\n\"}".as_bytes());
        let all = parse(b"curl -XPUT example.com -d a=1 -d 'b\n=2' -u me:pw").unwrap();
        assert_eq!((all.method.as_str(), all.url.as_str()), ("PUT", "http://example.com"));
        assert_eq!(
            (&all.body[..], header(&all, "content-type")),
            (&b"a=1&b=2"[..], "application/x-www-form-urlencoded")
        );
        assert_eq!(header(&all, "authorization"), "Basic bWU6cHc=");
        for bad in ["curl x 'y", "curl x -d @secret", "curl -H", "curl -s", r"curl x -d $'\xff'"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn har_and_our_own_json() {
        let request = json!({
            "method": "POST", "url": "https://example.com/x",
            "headers": [{"name": ":authority", "value": "e"}, {"name": "X-Sig", "value": "s"}],
            "postData": {"text": "aGk=", "encoding": "base64"},
        });
        let entry = json!({"startedDateTime": "2026-11-24T01:02:03Z", "request": request});
        for whole in [json!({"log": {"entries": [entry]}}), json!([entry]), entry, request] {
            let all = parse(whole.to_string().as_bytes()).unwrap();
            assert_eq!((all.headers.len(), &all.body[..]), (1, &b"hi"[..]), "{whole}");
        }
        let ours = json!({
            "at": "2026-11-24T01:02:03.000Z", "source_name": "gh",
            "request": {
                "method": "POST", "path": "/sub", "query": "a=b",
                "headers": [{"name": "host", "value": "h.example.com"}, {"name": "x", "value_base64": "/w=="}],
                "body": {"len": 70_000, "text": "abc", "truncated": true},
            },
        });
        let all = parse(ours.to_string().as_bytes()).unwrap();
        assert_eq!(all.url, "https://h.example.com/in/gh/sub?a=b");
        assert_eq!((&all.body[..], &all.headers[1].1[..]), (&b"abc"[..], &[0xff][..]));
        assert_eq!(all.at.as_deref(), Some("2026-11-24T01:02:03.000Z"));
        assert!(all.doubt.unwrap().contains("--body"));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes: Vec<u8>, text in r#"[ \\'"$xu0dA-H:\n@=]{0,40}"#, form in 0_u8..4) {
            let whole = match form {
                0 => bytes,
                1 => format!("curl {text}").into_bytes(),
                2 => format!("POST /\n{text}").into_bytes(),
                _ => format!("{{\"request\":{{\"method\":\"{}\",\"body\":{{}}}}}}", text.escape_default()).into_bytes(),
            };
            if let Ok(all) = parse(&whole) {
                prop_assert!(all.body.len() <= whole.len());
            }
        }

        #[test]
        fn what_a_shell_quotes_is_read_back(body in "[^\0]{0,60}") {
            let command = format!("curl http://x -X POST --data-raw '{}'", body.replace('\'', r"'\''"));
            prop_assume!(!body.starts_with('@'));
            prop_assert_eq!(parse(command.as_bytes()).unwrap().body, body.into_bytes());
        }
    }
}
