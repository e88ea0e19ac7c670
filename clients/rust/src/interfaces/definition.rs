//! Reads the definition of an interface, comments included: for documentation, for lists of methods,
//! and for comparing types with it.

use std::fmt;

use thiserror::Error;

mod parse;

/// An interface as defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The comment before it.
    pub comment: String,
    /// Its types, methods and errors, in their order.
    pub members: Vec<Member>,
}

/// A type, method or error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The comment before it.
    pub comment: String,
    /// What it is.
    pub kind: Kind,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name for a type.
    Type(Type),
    /// A method: its parameters, and what it gives.
    Method(Vec<Field>, Vec<Field>),
    /// An error with its data.
    Error(Vec<Field>),
}

/// A field with its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub of: Type,
}

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `bool`, `int`, `float`, `string`, `object`, or the name of a member.
    Named(String),
    /// One of these words.
    Enum(Vec<String>),
    /// Fields.
    Struct(Vec<Field>),
    /// May be null or left out.
    Maybe(Box<Type>),
    /// A list.
    Array(Box<Type>),
    /// A map from strings.
    Map(Box<Type>),
}

/// What is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {what}")]
pub struct DefinitionError {
    /// Counted from 1.
    pub line: usize,
    /// What was expected or found.
    pub what: String,
}

impl Interface {
    /// Reads a definition.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        parse::interface(text)
    }

    /// The member of this name.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Enum(words) => write!(f, "({})", words.join(", ")),
            Self::Struct(fields) => write!(f, "({})", shown(fields)),
            Self::Maybe(of) => write!(f, "?{of}"),
            Self::Array(of) => write!(f, "[]{of}"),
            Self::Map(of) => write!(f, "[string]{of}"),
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.kind {
            Kind::Type(of) => write!(f, "type {name} {of}"),
            Kind::Method(takes, gives) => {
                write!(f, "method {name}({}) -> ({})", shown(takes), shown(gives))
            }
            Kind::Error(data) => write!(f, "error {name} ({})", shown(data)),
        }
    }
}

fn shown(fields: &[Field]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|field| format!("{}: {}", field.name, field.of)).collect();
    fields.join(", ")
}

#[cfg(test)]
mod tests;
