//! Reading and writing parts of a JSON text, at its edges.

use webhook_signatures::json;

fn find<'a>(body: &'a str, pointer: &str) -> Option<&'a str> {
    json::find(body.as_bytes(), pointer).map(|raw| std::str::from_utf8(raw).unwrap())
}

#[test]
fn blanks_of_every_kind_are_passed_over() {
    for blank in ["", " ", "\t", "\r", "\n", " \r\n\t "] {
        let body = ["", "{", "\"a\"", ":", "[", "1", ",", "\"x\"", "]", "}", ""].join(blank);
        assert_eq!(find(&body, "/a/0"), Some("1"), "{body:?}");
        assert_eq!(find(&body, "/a/1"), Some("\"x\""), "{body:?}");
        let marked = format!("\u{feff}{body}");
        assert_eq!(find(&marked, "/a/0"), Some("1"), "{marked:?}");
    }
    assert_eq!(find("\u{b}{\"a\":1}", "/a"), None, "no other sign is a blank");
}

#[test]
fn where_no_value_stands_none_is_found() {
    for body in
        [r#"{"a":}"#, r#"{"a":,"b":1}"#, r#"{"a"::1}"#, r#"{"a":]"#, r#"{"a" 1}"#, r#"{"a""#]
    {
        assert_eq!(find(body, "/a"), None, "{body}");
    }
    assert_eq!(find(r#"{"b":,"a":1}"#, "/a"), None, "nor behind it");
    for array in ["[,1]", "[1,]", "[1 2]", "[1", "[", "1", "{}"] {
        assert_eq!(find(array, "/1"), None, "{array}");
    }
    assert_eq!(find("[1,2]", "/-1"), None);
    assert_eq!(find("[1,2]", "/"), None);
    assert_eq!(find(r#"{"":1,"/":2}"#, "/"), Some("1"));
}

/// The search for the end of a string goes by eight bytes at first and by more later on.
#[test]
fn a_string_ends_at_its_own_quote() {
    for length in 0..12 {
        for inside in ["", r#"\""#, r"\\", r#"\\\""#, r"\u0022", "é\u{80}\u{a2}\u{dc}", "!#[]"] {
            for before in [0, 1, 7, 8, 30, 33, 70] {
                let text = format!("{}{inside}{}", "x".repeat(before), "y".repeat(length));
                let body = format!(r#"{{"{text}":"{text}","a\\":{{"b":"{text}"}},"c":"\"" }}"#);
                assert_eq!(find(&body, "/c"), Some(r#""\"""#), "{body}");
                assert_eq!(find(&body, r"/a\/b"), Some(format!("\"{text}\"").as_str()), "{body}");
                let open = format!(r#"{{"a":"{text}"#);
                assert_eq!(find(&open, "/a"), None, "{open}");
            }
        }
    }
}

#[test]
fn keys_are_read_up_to_a_limit_or_a_break() {
    let keys = |body: &'static str, limit| json::keys(body.as_bytes(), limit);
    let three = r#"{"a":1,"\u0062":{"x":2},"c":[3]}"#;
    for limit in 0..5 {
        assert_eq!(keys(three, limit), ["a", "b", "c"][..limit.min(3)]);
    }
    for none in ["", "[]", "{}", " { } ", "\"a\"", "{1:2}"] {
        assert!(keys(none, 9).is_empty(), "{none}");
    }
    assert_eq!(keys(r#"{"a" 1,"b":2}"#, 9), ["a"]);
    assert_eq!(keys(r#"{"a":,"b":2}"#, 9), ["a"]);
    assert_eq!(keys(r#"{"a":1 "b":2}"#, 9), ["a"]);
}

#[test]
fn elements_are_read_up_to_a_limit() {
    let elements = |body: &'static str, limit| json::elements(body.as_bytes(), limit);
    for limit in 0..5 {
        let want: Vec<&[u8]> = [&b"1"[..], b"[2]", b"\"3\""][..limit.min(3)].to_vec();
        assert_eq!(elements(r#"[1,[2], "3"]"#, limit), Some(want));
    }
    assert_eq!(elements(" [ ] ", 9), Some(vec![]));
    for broken in ["", "{}", "[,]", "[1,]", "[\"1]"] {
        assert_eq!(elements(broken, 9), None, "{broken}");
    }
}

#[test]
fn texts_of_values() {
    for (raw, text) in
        [("\"a\"", Some("a")), ("\"\"", Some("")), ("1.5e3", Some("1.5e3")), ("true", Some("true"))]
    {
        assert_eq!(json::text(raw.as_bytes()).as_deref(), text, "{raw}");
    }
    for raw in ["", "null", "{}", "[1]", "\"", "\"a"] {
        assert_eq!(json::text(raw.as_bytes()), None, "{raw}");
    }
}

#[test]
fn escapes_are_read() {
    let read = |inside: &str| json::unescape(inside.as_bytes()).into_owned();
    assert_eq!(read(r#"\n\t\r\b\f\"\\\/"#), "\n\t\r\u{8}\u{c}\"\\/");
    assert_eq!(
        read(r"\u00e9 \u20AC \ud83d\ude00 \uD800\uDC00 \udbff\udfff"),
        "é € 😀 𐀀 \u{10ffff}"
    );
    for (broken, text) in [
        (r"\", "\u{fffd}"),
        (r"a\xb", "a\u{fffd}b"),
        (r"\u12", "\u{fffd}12"),
        (r"\u12g4", "\u{fffd}12g4"),
        (r"\ud83d", "\u{fffd}"),
        (r"\ud83dx", "\u{fffd}x"),
        (r"\ud83d\n", "\u{fffd}\n"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        (r"\udc00\udc00", "\u{fffd}\u{fffd}"),
        (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
        (r"\ud83d\ude", "\u{fffd}\u{fffd}de"),
    ] {
        assert_eq!(read(broken), text, "{broken}");
    }
}

/// What is quoted is inert in HTML and JavaScript, and needs no more escapes than that.
#[test]
fn texts_are_quoted() {
    assert_eq!(json::quote("\"\\\n\r\t\u{8}\u{c}\u{0}\u{1f}"), r#""\"\\\n\r\t\b\f\u0000\u001f""#);
    assert_eq!(
        json::quote("<a>&\u{2028}\u{2029}\u{7f}"),
        r#""\u003ca\u003e\u0026\u2028\u2029\u007f""#
    );
    assert_eq!(json::quote("it's é 😀 \u{80}!/"), "\"it's é 😀 \u{80}!/\"");
}

#[test]
fn a_value_is_set_where_its_object_is() {
    let set = |body: &str, pointer, raw: &str| {
        let new = json::set(body.as_bytes(), pointer, raw.as_bytes())?;
        Some(String::from_utf8(new).unwrap())
    };
    for (body, pointer, want) in [
        (r#"{"a":[1,{"b":"x"}],"c":2}"#, "/a/1/b", r#"{"a":[1,{"b":9}],"c":2}"#),
        (r#"{"a":[1,{"b":"x"}],"c":2}"#, "/a/0", r#"{"a":[9,{"b":"x"}],"c":2}"#),
        (r#" {"a":{ } }"#, "/a/b", r#" {"a":{"b":9 } }"#),
        (r#"{"a":1}"#, "/\"", r#"{"\"":9,"a":1}"#),
        (" 1 ", "", " 9 "),
    ] {
        assert_eq!(set(body, pointer, "9").as_deref(), Some(want), "{body}");
    }
    for (body, pointer) in [(r#"{"a":1}"#, "/a/b"), ("[1]", "/1"), ("{}", "/a/b"), ("", "/a")] {
        assert_eq!(set(body, pointer, "9"), None, "{body}");
    }
}
