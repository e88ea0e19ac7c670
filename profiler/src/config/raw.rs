//! A value as it was written: in a file, where TOML says its type, or as a word in the environment.

use std::fmt;

use toml::de::DeValue;

/// What somebody wrote as a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number. Beyond 128 bits it is [`Raw::Other`].
    Whole(i128),
    /// Any other number, infinity and "not a number" included.
    Number(f64),
    /// Text in quotes.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A word without type, from the environment.
    Word(String),
    /// Nothing that any setting takes, and what it is.
    Other(&'static str),
}

impl Raw {
    /// What a TOML value is.
    pub(super) fn of(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::Boolean(value) => Self::Boolean(*value),
            DeValue::Integer(value) => i128::from_str_radix(value.as_str(), value.radix())
                .map_or(Self::Other("a number of more than 128 bits"), Self::Whole),
            DeValue::Float(value) => {
                value.as_str().parse().map_or(Self::Other("a number that is none"), Self::Number)
            }
            DeValue::String(value) => Self::Text(value.to_string()),
            DeValue::Array(values) => {
                Self::List(values.iter().map(|value| Self::of(value.get_ref())).collect())
            }
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    /// Text, whether in quotes or a bare word.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Word(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Whole(value) => write!(f, "{value}"),
            // In short notation where it is very large or small.
            Self::Number(value) => write!(f, "{value:?}"),
            // Quoted and escaped: a message is one line, whatever was written.
            Self::Text(value) | Self::Word(value) => write!(f, "{:?}", shortened(value)),
            Self::List(_) => f.write_str("a list"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// At most 80 characters, so that a message stays readable.
fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
