//! `cargo xtask docs`: writes the documents that follow from the source. A test says when they do not.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::Args;
use profiler_client::interfaces::definition::{Field, Interface, Kind, Member, Type};
use profiler_client::interfaces::{CONTROL, SERVICE, WORKER};

/// What stands before and after the interfaces.
const FRAME: &str = include_str!("docs/protocol.md");

/// The example that the frame shows.
const EXAMPLE: &str = include_str!("../../clients/python/examples/stdlib.py");

/// The options of `cargo xtask docs`.
#[derive(Args)]
pub(crate) struct Options {}

/// Writes them.
pub(crate) fn run(_: &Options) -> Result<()> {
    let path = protocol_path();
    fs::write(&path, protocol()?).with_context(|| format!("cannot write {}", path.display()))
}

fn protocol_path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md")
}

/// docs/protocol.md.
fn protocol() -> Result<String> {
    let mut interfaces = String::new();
    for definition in [WORKER, CONTROL, SERVICE] {
        interfaces += &interface(&Interface::parse(definition)?)?;
    }
    let text = FRAME.replace("{{example}}", EXAMPLE.trim_end());
    Ok(text.replace("{{interfaces}}", interfaces.trim_end()))
}

fn interface(interface: &Interface) -> Result<String> {
    let mut text = format!("## {}\n\n{}\n", interface.name, interface.comment);
    let of = |is: fn(&Kind) -> bool| interface.members.iter().filter(move |m| is(&m.kind));
    text += "\n### Methods\n";
    for member in of(|kind| matches!(kind, Kind::Method(..))) {
        let Kind::Method(takes, gives) = &member.kind else { continue };
        write!(text, "\n#### {}\n\n{}\n", member.name, member.comment)?;
        text += &fields("Takes", takes)?;
        text += &fields("Gives", gives)?;
    }
    if of(|kind| matches!(kind, Kind::Type(_))).count() > 0 {
        text += "\n### Types\n";
    }
    for member in of(|kind| matches!(kind, Kind::Type(_))) {
        text += &named_type(member)?;
    }
    text += "\n### Errors\n\n| error | data | when, and what to do |\n|---|---|---|\n";
    for member in of(|kind| matches!(kind, Kind::Error(_))) {
        let Kind::Error(data) = &member.kind else { continue };
        let data: Vec<String> =
            data.iter().map(|field| format!("`{}: {}`", field.name, field.of)).collect();
        let comment = member.comment.replace('\n', " ");
        writeln!(text, "| `{}` | {} | {comment} |", member.name, data.join(", "))?;
    }
    Ok(text + "\n")
}

fn named_type(member: &Member) -> Result<String> {
    let mut text = format!("\n#### {}\n", member.name);
    if !member.comment.is_empty() {
        write!(text, "\n{}\n", member.comment)?;
    }
    match &member.kind {
        Kind::Type(Type::Struct(of)) => text += &fields("Fields", of)?,
        Kind::Type(Type::Enum(words)) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            write!(text, "\nOne of {}.\n", words.join(", "))?;
        }
        Kind::Type(other) => write!(text, "\n`{other}`\n")?,
        Kind::Method(..) | Kind::Error(_) => {}
    }
    Ok(text)
}

fn fields(heading: &str, fields: &[Field]) -> Result<String> {
    if fields.is_empty() {
        return Ok(format!("\n{heading}: nothing.\n"));
    }
    let mut text = format!("\n{heading}:\n\n");
    for field in fields {
        writeln!(text, "- `{}: {}`", field.name, field.of)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocols_documentation_is_what_its_interfaces_say() {
        let found = fs::read_to_string(protocol_path()).unwrap();
        assert!(found == protocol().unwrap(), "docs/protocol.md is stale: `cargo xtask docs`");
    }

    #[test]
    fn everything_that_a_client_meets_is_described() {
        for definition in [WORKER, CONTROL, SERVICE] {
            let interface = Interface::parse(definition).unwrap();
            for member in &interface.members {
                let needs_words = !matches!(member.kind, Kind::Type(_));
                assert!(!needs_words || !member.comment.is_empty(), "{} says nothing", member.name);
            }
        }
    }
}
