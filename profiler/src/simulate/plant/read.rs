//! From a file's text to a plant, or to what is wrong with it: the line, the reason, and the key that
//! was probably meant.

use std::ops::Range;

use super::{Plant, check};

/// Why a text is no plant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct Invalid {
    /// The file's name, as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, in one line.
    pub reason: String,
}

/// The plant that `text` describes; `file` is what errors call it.
///
/// # Errors
/// What is wrong first.
pub fn read(file: &str, text: &str) -> Result<Plant, Invalid> {
    let invalid = |span: Option<Range<usize>>, reason: String| Invalid {
        file: file.to_owned(),
        line: line(text, span.map_or(0, |span| span.start)),
        reason,
    };
    let plant: Plant = toml::from_str(text)
        .map_err(|error| invalid(error.span(), with_suggestion(error.message())))?;
    check::check(&plant).map_err(|fault| invalid(fault.span, fault.reason))?;
    Ok(plant)
}

fn line(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// `message` in one line, with the nearest of the names that it says it expected.
fn with_suggestion(message: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(unknown) = quoted.next().filter(|_| message.starts_with("unknown ")) else {
        return message;
    };
    let expected: Vec<&str> = quoted.collect();
    let what = message.split('`').next().unwrap_or("unknown key").trim();
    let what = what.replace("field", "key").replace("variant", "name");
    match nearest(unknown, &expected) {
        Some(nearest) => format!("{what} `{unknown}`; did you mean `{nearest}`?"),
        None => format!("{what} `{unknown}`; there are {}", expected.join(", ")),
    }
}

/// The name that was probably meant by `unknown`: the nearest, if it is near.
pub(super) fn nearest<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |name: &&str| strsim::damerau_levenshtein(unknown, name);
    let near = known.iter().copied().min_by_key(distance)?;
    let is_part = near.contains(unknown) || unknown.contains(near);
    (is_part || distance(&near) <= 1 + unknown.len() / 4).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = 'p'\n[host]\ncores = 4\n[[connector]]\nname = 'a'\n\
                        [connector.job]\ncpu_seconds = 2.0\n";

    fn error(text: &str) -> String {
        read("p.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn a_plant_needs_a_host_and_work() {
        let plant = read("p.toml", GOOD).unwrap();
        assert_eq!((plant.host.cores.get(), plant.connectors.len()), (4, 1));
        assert!(error("").contains("missing field `name`"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_key_that_was_meant() {
        let text = GOOD.replace("cpu_seconds", "cpu_second");
        let expected = "p.toml:7: unknown key `cpu_second`; did you mean `cpu_seconds`?";
        assert_eq!(error(&text), expected);
        let text = GOOD.replace("cores = 4", "cores = 4\nbananas = 1");
        assert!(error(&text).starts_with("p.toml:4: unknown key `bananas`; there are cores, "));
        let text = GOOD.replace("2.0", "{ exponentail = 2.0 }");
        assert!(error(&text).ends_with("unknown name `exponentail`; did you mean `exponential`?"));
    }

    #[test]
    fn a_number_that_makes_no_sense_is_refused_with_its_line() {
        for (bad, line, reason) in [
            ("cores = 0", 3, "0 is not a whole number from 1 to 1000"),
            ("cores = -4", 3, "-4 is not a whole number"),
            ("cores = 4\nmemory_mb = nan", 4, "NaN is not a number above 0"),
            ("cores = 4\ncontention = 2", 4, "2 is not a number from 0 to 1"),
        ] {
            let error = error(&GOOD.replace("cores = 4", bad));
            assert!(error.starts_with(&format!("p.toml:{line}: {reason}")), "{error}");
        }
        for bad in
            ["-1", "inf", "'2'", "{ uniform = [3, 1] }", "{ pareto = { mean = 1, shape = 1 } }"]
        {
            let error = error(&GOOD.replace("2.0", bad));
            assert!(error.starts_with("p.toml:7: "), "{bad}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}
