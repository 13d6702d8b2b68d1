//! Small templates of routing keys, subjects and topics: text with `{type}`, `{source}`, `{tenant}` and `{channel}`.
//!
//! Values come from outside (whoever sends a webhook chooses its type), so what they may do is little: letters, digits, `-`,
//! `_` and `:` stay, and in a type the dots between its words, since brokers route by them; everything else becomes `_`. No
//! value can add a level to a topic, a word to a subject (but for a type's own), a pattern, or a line.

/// What a template is filled with; what an event lacks is `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Values<'a> {
    /// Its type.
    pub event_type: Option<&'a str>,
    /// The name of the source.
    pub source: Option<&'a str>,
    /// The tenant's `uid`.
    pub tenant: Option<&'a str>,
    /// Its first channel.
    pub channel: Option<&'a str>,
}

/// A word in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Type,
    Source,
    Tenant,
    Channel,
}

const FIELDS: [(&str, Field); 4] = [
    ("type", Field::Type),
    ("source", Field::Source),
    ("tenant", Field::Tenant),
    ("channel", Field::Channel),
];

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

/// A template, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    pieces: Vec<Piece>,
}

/// Why a template is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateRefused {
    /// A word that stands for nothing.
    #[error("{{{0}}} stands for nothing: use {{type}}, {{source}}, {{tenant}} or {{channel}}")]
    Unknown(String),
    /// A brace without its other one.
    #[error("a {{ or }} stands alone: write {{type}}, {{source}}, {{tenant}} or {{channel}}")]
    Brace,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateRefused`].
    pub fn parse(text: &str) -> Result<Self, TemplateRefused> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or(TemplateRefused::Brace)?;
            let field = FIELDS.iter().find(|(known, _)| *known == name);
            let unknown = || TemplateRefused::Unknown(name.chars().take(40).collect());
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(Piece::Field(field.ok_or_else(unknown)?.1));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let alone = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains('}'));
        if pieces.iter().any(alone) {
            return Err(TemplateRefused::Brace);
        }
        Ok(Self { text: text.to_owned(), pieces })
    }

    /// Text that stands for itself, braces and all.
    #[must_use]
    pub(crate) fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), pieces: vec![Piece::Text(text.to_owned())] }
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text with these values.
    #[must_use]
    pub fn fill(&self, values: &Values<'_>) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Field(Field::Type) => words(values.event_type.unwrap_or_default()),
            Piece::Field(Field::Source) => word(values.source.unwrap_or_default()),
            Piece::Field(Field::Tenant) => word(values.tenant.unwrap_or_default()),
            Piece::Field(Field::Channel) => word(values.channel.unwrap_or_default()),
        };
        self.pieces.iter().map(piece).collect()
    }
}

/// A type: its words keep their dots, and none is empty.
fn words(text: &str) -> String {
    text.split('.').map(word).collect::<Vec<_>>().join(".")
}

fn word(text: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ':');
    let word: String = text.chars().map(|c| if kept(c) { c } else { '_' }).collect();
    if word.is_empty() { "_".to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const VALUES: Values<'_> = Values {
        event_type: Some("invoice.paid"),
        source: Some("stripe"),
        tenant: Some("acme"),
        channel: Some("eu.west"),
    };

    #[test]
    fn what_stands_for_what() {
        let fill = |text: &str| Template::parse(text).unwrap().fill(&VALUES);
        assert_eq!(fill("orders.{type}"), "orders.invoice.paid");
        assert_eq!(fill("{tenant}/{source}/{channel}"), "acme/stripe/eu_west");
        assert_eq!((fill("plain"), fill("")), ("plain".to_owned(), String::new()));
        assert_eq!(Template::parse("{type}").unwrap().fill(&Values::default()), "_");
    }

    #[test]
    fn what_is_no_template() {
        for text in [
            "{",
            "}",
            "{type",
            "type}",
            "{}",
            "{Type}",
            "{body}",
            "{type}}",
            "{{type}}",
            "{ty\r\npe}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        let said = Template::parse("{body}").unwrap_err().to_string();
        assert_eq!(said, "{body} stands for nothing: use {type}, {source}, {tenant} or {channel}");
    }

    #[test]
    fn hostile_values_are_tamed() {
        let template = Template::parse("a.{type}.{channel}").unwrap();
        for (event_type, channel) in [
            ("x\r\nPUB y 0\r\n", "b/c"),
            ("*", ">"),
            ("#", "+"),
            ("..", ".."),
            ("$JS.API.STREAM.DELETE.x", "\0"),
            ("a b\tc", "\u{2028}"),
        ] {
            let values = Values { event_type: Some(event_type), channel: Some(channel), ..VALUES };
            let made = template.fill(&values);
            let odd = |c: char| c.is_control() || c.is_whitespace() || "*>#+/$".contains(c);
            assert!(!made.contains(odd), "{made:?}");
            assert!(made.split('.').all(|word| !word.is_empty()), "{made:?}");
        }
    }

    proptest! {
        #[test]
        fn a_value_adds_no_level_and_no_pattern(channel in any::<String>(), event_type in any::<String>()) {
            let values = Values { channel: Some(&channel), event_type: Some(&event_type), ..VALUES };
            let made = Template::parse("t/{channel}/{tenant}.{type}").unwrap().fill(&values);
            prop_assert_eq!(made.split('/').count(), 3);
            prop_assert!(!made.chars().any(|c| c.is_control() || c.is_whitespace() || "*>#+$".contains(c)));
            prop_assert_eq!(made.split('.').count(), 2 + event_type.matches('.').count());
        }

        #[test]
        fn anything_is_read_or_refused(text in "[{}a-z]{0,20}") {
            if let Ok(template) = Template::parse(&text) {
                prop_assert_eq!(template.text(), text.as_str());
            }
        }
    }
}
