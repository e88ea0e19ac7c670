//! Colours, where the terminal has them.

use std::env;
use std::io::IsTerminal;

/// How pieces of text are set off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// On CPU.
    Cpu,
    /// Waiting for a CPU.
    RunQueue,
    /// Waiting for block I/O.
    BlockIo,
    /// Waiting for anything else; whatever matters less.
    Quiet,
    /// What to look at first.
    Strong,
    /// What is wrong with the figures.
    Warning,
}

/// Puts colours on, or leaves text as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    /// Whether colours are wanted.
    pub colour: bool,
}

impl Paint {
    /// Colours if `stream` is a terminal that has them and nobody asked for none.
    #[must_use]
    pub fn on(stream: &impl IsTerminal) -> Self {
        let is_unset = |name| env::var_os(name).is_none_or(|value| value.is_empty());
        let has_colours =
            env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
        Self { colour: stream.is_terminal() && has_colours && is_unset("NO_COLOR") }
    }

    /// `text` in `style`. It must not be measured or broken into lines any more.
    #[must_use]
    pub fn text(self, style: Style, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match style {
            Style::Cpu => "32",
            Style::RunQueue => "33",
            Style::BlockIo => "35",
            Style::Quiet => "2",
            Style::Strong => "1",
            Style::Warning => "1;31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_text_stays_as_it_is() {
        assert_eq!(Paint { colour: false }.text(Style::Warning, "x"), "x");
        assert_eq!(Paint { colour: true }.text(Style::Warning, "x"), "\x1b[1;31mx\x1b[0m");
    }

    #[test]
    fn a_file_has_no_colours() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(Paint::on(&file), Paint { colour: false });
    }
}
