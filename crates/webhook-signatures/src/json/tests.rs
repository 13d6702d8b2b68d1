//! What is found in a text, however it is written, broken or nested.

use super::*;

fn at<'a>(body: &'a str, pointer: &str) -> Option<&'a str> {
    find(body.as_bytes(), pointer).map(|raw| std::str::from_utf8(raw).unwrap())
}

#[test]
fn pointers() {
    let body = r#" { "a": {"b" : [1, {"c":"}\"]"} , null], "x/y~": 2}, "a": 3, "\u0065": true } "#;
    assert_eq!(at(body, "/a/b/0"), Some("1"));
    assert_eq!(at(body, "/a/b/1/c"), Some(r#""}\"]""#));
    assert_eq!(at(body, "/a/b/2"), Some("null"));
    assert_eq!(at(body, "/a/b/3"), None);
    assert_eq!(at(body, "/a/x~1y~0"), Some("2"));
    assert_eq!(at(body, "/e"), Some("true"));
    assert_eq!(at(body, "/a/b"), Some(r#"[1, {"c":"}\"]"} , null]"#));
    assert_eq!(at(body, "/nothing"), None);
    assert_eq!(at("[]", "/0"), None);
    assert_eq!(at("\"s\"", ""), Some("\"s\""));
    assert_eq!(at("{\"a\":", "/a"), None);
    assert_eq!(at("a", "a"), None);
    assert_eq!(keys(br#"{"update_id":1,"message":{}}"#, 9), ["update_id", "message"]);
    assert_eq!(elements(b"[1, [2,3] ,{}]", 9).unwrap().len(), 3);
}

/// Which of the keys a pointer leads to, however either is spelt.
#[test]
fn a_key_is_a_token_or_not() {
    let body = r#"{"a":1,"ab":2,"a/b":3,"~c":4,"/d":5,"":{"":6,"e":7},"\u0066g":8,"h~1":9,"\u007ei":10,"é":11}"#;
    for (pointer, value) in [
        ("/a", Some("1")),
        ("/ab", Some("2")),
        ("/abc", None),
        ("/a/b", None),
        ("/a~1b", Some("3")),
        ("/~0c", Some("4")),
        ("/~1d", Some("5")),
        ("//", Some("6")),
        ("//e", Some("7")),
        ("///e", None),
        ("/fg", Some("8")),
        ("/f", None),
        ("/\\u0066g", None),
        ("/h~01", Some("9")),
        ("/h~1", None),
        ("/~0i", Some("10")),
        ("/é", Some("11")),
        ("a", None),
    ] {
        assert_eq!(at(body, pointer), value, "{pointer}");
        let known = Known::of([pointer, "/ab"], body.as_bytes());
        assert_eq!(known.raw(pointer), value.map(str::as_bytes), "{pointer}");
    }
    let twice = Known::of(["/a", "/no"], br#"{"a":1,"a":2}"#);
    assert_eq!(
        (twice.raw("/a"), twice.get("/no"), twice.get("/b")),
        (Some(&b"1"[..]), Some(None), None)
    );
}

#[test]
fn several_members_are_found_as_one_each_is() {
    for body in [
        r#"{"a":1,"b":{"a":2},"\u0063":[3],"a":4}"#,
        r#" { "b" : null , "a" : "x" "#,
        r#"{"a":1"b":2}"#,
        r#"{"a":1,"b""#,
        r#"["a","b"]"#,
        "{}",
        "",
    ] {
        let pointers = ["/a", "/b", "/c"];
        let known = Known::of(pointers, body.as_bytes());
        let each = pointers.map(|pointer| find(body.as_bytes(), pointer));
        assert_eq!(pointers.map(|pointer| known.raw(pointer)), each, "{body}");
    }
}

#[test]
fn sets() {
    let set = |body: &str, pointer| {
        set(body.as_bytes(), pointer, b"9").map(|new| String::from_utf8(new).unwrap())
    };
    assert_eq!(set(r#" {"a" : {"b":"x"} }"#, "/a/b").unwrap(), r#" {"a" : {"b":9} }"#);
    assert_eq!(set(r#"[{"b":"x"}, {}]"#, "/1/c").unwrap(), r#"[{"b":"x"}, {"c":9}]"#);
    assert_eq!(set(r#"{"b":"x"}"#, "/c").unwrap(), r#"{"c":9,"b":"x"}"#);
    assert_eq!(set("[]", "/0/c"), None);
}

#[test]
fn texts() {
    assert_eq!(find_text(br#"{"a":"\u00e9\ud83d\ude00\/\n\"\\"}"#, "/a").unwrap(), "é😀/\n\"\\");
    assert_eq!(find_text(br#"{"a":"\ud83d x"}"#, "/a").unwrap(), "\u{fffd} x");
    assert_eq!(find_text(b"{\"a\":\"\xff\"}", "/a").unwrap(), "\u{fffd}");
    assert_eq!(find_text(br#"{"a":12.0}"#, "/a").unwrap(), "12.0");
    assert_eq!(find_text(br#"{"a":null}"#, "/a"), None);
    assert_eq!(quote("a\"<\u{1}é"), "\"a\\\"\\u003c\\u0001é\"");
}

#[test]
fn what_needs_no_escape_is_copied_in_runs() {
    for ending in ["", "\"", "\\", "\n", "\u{1}", "\u{7f}", "é", "\u{2028}"] {
        for length in 0..20 {
            let text = format!("{}{ending}{}", "x".repeat(length), "é!".repeat(length % 5));
            let want = serde_json::to_string(&text).unwrap();
            assert_eq!(quote_plainly(&text), want);
        }
    }
}

#[test]
fn a_hundred_thousand_levels_do_not_overflow_the_stack() {
    let mut deep = b"{\"x\":".to_vec();
    deep.extend(std::iter::repeat_n(b'[', 100_000));
    deep.extend(std::iter::repeat_n(b']', 100_000));
    deep.extend_from_slice(b",\"id\":\"found\"}");
    assert_eq!(find_text(&deep, "/id").unwrap(), "found");
    let open = vec![b'['; 100_000];
    assert_eq!(find(&open, "/0"), None);
}

/// What stands within a string is no sign of the text's shape.
const SHAPES: [&str; 9] = [
    "{}",
    "[]",
    "[[],{}]",
    r#"{"a":1,"b":[1,2,{"c":null}],"d":{}}"#,
    r#"{"a\"b, c: {":"x: [1, 2] } \\","d":"\\"}"#,
    r#"["é","\n",-1.5,true]"#,
    r#"[{"a":[[1]]}]"#,
    "\"a b\"",
    "7",
];

#[test]
fn the_same_text_is_written_in_other_ways() {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    for shape in SHAPES {
        let value: serde_json::Value = serde_json::from_str(shape).unwrap();
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        assert_eq!(text(indented(shape.as_bytes(), 2)), pretty, "{shape}");
        assert_eq!(text(minified(pretty.as_bytes())), shape);
        let wide = text(spaced(shape.as_bytes()));
        assert_eq!(text(minified(wide.as_bytes())), shape);
    }
    assert_eq!(text(spaced(br#"{"a,b":[1,2]}"#)), r#"{"a,b": [1, 2]}"#);
    assert_eq!(text(minified(b" [ 1 ,\t2 ]\r\n")), "[1,2]");
    assert_eq!(text(minified(br#"[1, "a b]"#)), r#"[1,"a b]"#);
}

#[test]
fn indenting_stops_at_64_levels() {
    let deep = "[".repeat(70);
    let width = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
    assert_eq!(width(&indented(deep.as_bytes(), 2)), Some(129));
    assert_eq!(indented(b"]]1", 2), b"\n]\n]1", "as far out as it goes");
}

#[test]
fn letters_beyond_ascii_are_written_both_ways() {
    let (plain, coded) = (r#"{"é":"a €😀\n\\"}"#, r#"{"\u00e9":"a \u20ac\ud83d\ude00\n\\"}"#);
    assert_eq!(escaped(plain.as_bytes()), coded.as_bytes());
    assert_eq!(unescaped(coded.as_bytes()), plain.as_bytes());
    for same in [r#""\u0041\n\/\"""#, r#""\ud83d""#, r#""\\u00e9""#, r"\", r"\u00e", ""] {
        assert_eq!(unescaped(same.as_bytes()), same.as_bytes(), "{same}");
    }
}

/// The signs of an escape may stand anywhere in a word of eight bytes, beside any others.
#[test]
fn the_first_sign_is_found_wherever_it_stands() {
    let signs = |byte: &u8| matches!(byte, b'"' | b'\\');
    let filled = |fill: u8, first: (usize, u8), second: (usize, u8)| {
        let mut text = [fill; 40];
        text[second.0] = second.1;
        text[first.0] = first.1;
        text
    };
    for fill in [b'!', b'#', b'[', b']', b' ', 0x1f, 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
        for (first, second) in [(b'"', b'\\'), (b'\\', b'"'), (b'\n', b'"'), (b'"', b'\x1f')] {
            for at in 0..40 {
                for after in [at, 39.min(at + 1), 39.min(at + 8)] {
                    let text = filled(fill, (at, first), (after, second));
                    assert_eq!(quote_or_backslash(&text), text.iter().position(signs));
                    let low = |byte: &u8| signs(byte) || *byte < b' ';
                    assert_eq!(to_escape(&text), text.iter().position(low));
                }
            }
        }
    }
}
