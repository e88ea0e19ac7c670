//! The grammar of definitions, by recursive descent.

use super::{DefinitionError, Field, Interface, Kind, Member, Type};

/// Deepest nesting of types.
const MAX_DEPTH: usize = 32;

type Parsed<T> = Result<T, DefinitionError>;

pub(super) fn interface(text: &str) -> Parsed<Interface> {
    let mut parser = Parser { rest: text, line: 1, depth: 0 };
    let comment = parser.comment();
    parser.keyword("interface")?;
    let name = parser.word("the name of the interface", |c| c == '.' || c == '-')?;
    let mut interface = Interface { name, comment, members: Vec::new() };
    loop {
        let comment = parser.comment();
        if parser.rest.is_empty() {
            return Ok(interface);
        }
        let member = parser.member(comment)?;
        if interface.member(&member.name).is_some() {
            return Err(parser.error(format!("{} is defined twice", member.name)));
        }
        interface.members.push(member);
    }
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    depth: usize,
}

impl Parser<'_> {
    fn member(&mut self, comment: String) -> Parsed<Member> {
        let keyword = self.word("type, method or error", |_| false)?;
        let name = self.word("a name", |_| false)?;
        if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
            return Err(self.error(format!("{name} does not begin with a capital")));
        }
        let kind = match keyword.as_str() {
            "type" => Kind::Type(self.one_type()?),
            "method" => {
                let takes = self.fields()?;
                self.expect("->")?;
                Kind::Method(takes, self.fields()?)
            }
            "error" => Kind::Error(self.fields()?),
            other => return Err(self.error(format!("{other} is no type, method or error"))),
        };
        Ok(Member { name, comment, kind })
    }

    fn fields(&mut self) -> Parsed<Vec<Field>> {
        match self.bracketed()? {
            Type::Struct(fields) => Ok(fields),
            _ => Err(self.error("expected fields with types".to_owned())),
        }
    }

    fn one_type(&mut self) -> Parsed<Type> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("types are nested too deeply".to_owned()));
        }
        let found = if self.take("?") {
            Type::Maybe(Box::new(self.one_type()?))
        } else if self.take("[]") {
            Type::Array(Box::new(self.one_type()?))
        } else if self.take("[string]") {
            Type::Map(Box::new(self.one_type()?))
        } else if self.rest.starts_with('(') {
            self.bracketed()?
        } else {
            Type::Named(self.word("a type", |_| false)?)
        };
        self.depth -= 1;
        Ok(found)
    }

    /// A struct or an enum; empty brackets are a struct.
    fn bracketed(&mut self) -> Parsed<Type> {
        self.expect("(")?;
        let (mut fields, mut words) = (Vec::new(), Vec::new());
        let mut more = !self.take(")");
        while more {
            let name = self.word("a name", |c| c == '_')?;
            if self.take(":") {
                fields.push(Field { name, of: self.one_type()? });
            } else {
                words.push(name);
            }
            more = self.take(",");
            if !more {
                self.expect(")")?;
            }
        }
        match (fields.is_empty(), words.is_empty()) {
            (_, true) => Ok(Type::Struct(fields)),
            (true, false) => Ok(Type::Enum(words)),
            (false, false) => Err(self.error("some fields have a type, some have none".to_owned())),
        }
    }

    /// Passes space and comments over, and gives the comment that stands right before what follows.
    fn comment(&mut self) -> String {
        let mut lines: Vec<&str> = Vec::new();
        loop {
            let space = self.rest.len() - self.rest.trim_start().len();
            let (passed, rest) = self.rest.split_at(space);
            let newlines = passed.matches('\n').count();
            self.line += newlines;
            self.rest = rest;
            if newlines > 1 {
                lines.clear();
            }
            let Some(comment) = self.rest.strip_prefix('#') else { return lines.join("\n") };
            let (line, rest) = comment.split_at(comment.find('\n').unwrap_or(comment.len()));
            lines.push(line.strip_prefix(' ').unwrap_or(line).trim_end());
            self.rest = rest;
        }
    }

    fn keyword(&mut self, keyword: &str) -> Parsed<()> {
        match self.word(keyword, |_| false)? == keyword {
            true => Ok(()),
            false => Err(self.error(format!("expected {keyword}"))),
        }
    }

    fn word(&mut self, what: &str, also: fn(char) -> bool) -> Parsed<String> {
        self.comment();
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && !also(c));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        if word.is_empty() {
            return Err(self.error(format!("expected {what}")));
        }
        self.rest = rest;
        Ok(word.to_owned())
    }

    /// Whether `token` stood there; passes it over, with the space after it.
    fn take(&mut self, token: &str) -> bool {
        self.comment();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        // The comment after a bracket may belong to the next member.
        if rest.is_some() && token != ")" {
            self.comment();
        }
        rest.is_some()
    }

    fn expect(&mut self, token: &str) -> Parsed<()> {
        match self.take(token) {
            true => Ok(()),
            false => Err(self.error(format!("expected {token:?}"))),
        }
    }

    fn error(&self, what: String) -> DefinitionError {
        DefinitionError { line: self.line, what }
    }
}
