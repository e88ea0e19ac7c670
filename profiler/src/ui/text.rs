//! Text for a terminal: nothing in it that the terminal would obey, and no line too long.

/// `text` without anything that a terminal or a reader's eye would obey: control characters, escape
/// sequences and marks that turn the direction of writing are replaced. Names of processes are set
/// by the processes.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect()
}

fn obeyed(c: char) -> bool {
    // Separators of lines and paragraphs; zero-width, direction and invisible marks.
    const MARKS: [std::ops::RangeInclusive<char>; 4] = [
        '\u{200b}'..='\u{200f}',
        '\u{2028}'..='\u{202e}',
        '\u{2060}'..='\u{206f}',
        '\u{feff}'..='\u{feff}',
    ];
    c.is_control() || MARKS.iter().any(|marks| marks.contains(&c))
}

/// `text` with at most `most` characters; what is left out shows as an ellipsis.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// `text` in lines of at most `width` characters, broken at spaces. A longer word has a line of its
/// own. Spaces within a line stay as they are.
#[must_use]
pub fn folded(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_inclusive(' ') {
        let length = line.chars().count() + word.trim_end().chars().count();
        if length > width && !line.trim().is_empty() {
            lines.push(line.trim_end().to_owned());
            line.clear();
        }
        line.push_str(word);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let shown = plain("a\u{1b}[31mb\rc\nd\u{9b}e\u{202e}f\u{7f}g");
        assert_eq!(shown, "a\u{fffd}[31mb\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f\u{fffd}g");
        assert_eq!(plain("größer 大"), "größer 大");
    }

    #[test]
    fn what_is_too_long_ends_in_an_ellipsis() {
        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
    }

    #[test]
    fn lines_break_at_spaces() {
        assert_eq!(folded("  one two three", 9), ["  one two", "three"]);
        assert_eq!(folded("unbreakable a", 4), ["unbreakable", "a"]);
        assert_eq!(folded("", 4), [""]);
    }
}
