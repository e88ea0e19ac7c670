//! How many tests passed, failed and were skipped, from what the test runner prints.
//!
//! Promise: a run that failed without naming a failed test, because it crashed or was not built,
//! counts as one failure.

/// The result of one or more runs of tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that ran to their end and found nothing wrong.
    pub(crate) passed: usize,
    /// Tests that found something wrong, and runs that broke off.
    pub(crate) failed: usize,
    /// Tests that did not run.
    pub(crate) skipped: usize,
    /// Which were skipped and why, where they said so.
    pub(crate) reasons: Vec<String>,
    /// Which failed, and what they said.
    pub(crate) failures: Vec<String>,
}

impl Counts {
    /// Adds up the lines `test result: ok. 5 passed; 0 failed; 1 ignored; ...` of one run.
    pub(crate) fn read(run: &str, succeeded: bool, output: &[String]) -> Self {
        let mut counts = Self::default();
        for line in output {
            if let Some(name) = failed_test(line) {
                let said = said_by(name, output).map(|said| format!("\n    {said}"));
                counts.failures.push(name.to_owned() + &said.unwrap_or_default());
            }
            // Not only at the start: another thread may have printed something before it.
            let Some((_, result)) = line.split_once("test result: ") else { continue };
            counts.passed += number_before(result, "passed");
            counts.failed += number_before(result, "failed");
            counts.skipped += number_before(result, "ignored");
        }
        if !succeeded && counts.failed == 0 {
            counts.fail(&format!("broke off: {run}"));
        }
        counts
    }

    /// Takes in what pytest says with `-q -rsfE`: `1 failed, 5 passed, 2 skipped in 1.58s`.
    pub(crate) fn read_pytest(succeeded: bool, output: &[String]) -> Self {
        let mut counts = Self::default();
        for line in output {
            if line.starts_with("SKIPPED [") {
                counts.reasons.push(line.clone());
            } else if line.starts_with("FAILED ") || line.starts_with("ERROR ") {
                counts.failures.push(line.clone());
            }
        }
        let last = output.iter().rev().find(|line| line.contains(" in ") && line.ends_with('s'));
        if let Some((result, _)) = last.and_then(|line| line.split_once(" in ")) {
            let result = result.replace(',', ";");
            counts.passed = number_before(&result, "passed");
            counts.failed = number_before(&result, "failed")
                + number_before(&result, "error")
                + number_before(&result, "errors");
            counts.skipped = number_before(&result, "skipped");
        }
        if !succeeded && counts.failed == 0 {
            counts.fail("broke off: pytest");
        }
        counts
    }

    /// Counts a failure that no test stands for.
    pub(crate) fn fail(&mut self, what: &str) {
        self.failed += 1;
        self.failures.push(what.to_owned());
    }

    /// Takes tests that said that they could not run out of those that passed.
    pub(crate) fn skip(&mut self, lines: &[String]) {
        self.passed = self.passed.saturating_sub(lines.len());
        self.skipped += lines.len();
        self.reasons.extend_from_slice(lines);
    }

    /// Adds another run.
    pub(crate) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.reasons.extend_from_slice(&other.reasons);
        self.failures.extend_from_slice(&other.failures);
    }
}

/// The name in a line such as `test cpu::exact ... FAILED`.
fn failed_test(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// Where a failed test panicked and the first lines of what it said, from the part of the output that
/// is the test's own.
fn said_by(name: &str, output: &[String]) -> Option<String> {
    let begin = format!("---- {name} stdout ----");
    let mut own = output.iter().skip_while(|line| **line != begin);
    let (_, place) = own.find_map(|line| line.split_once(" panicked at "))?;
    let ends = |line: &&String| {
        line.is_empty() || *line == "stack backtrace:" || line.starts_with("note: ")
    };
    let said: Vec<&str> =
        own.take_while(|line| !ends(line)).take(3).map(|line| line.trim()).collect();
    Some(format!("{place} {}", said.join(", ")))
}

/// The number in front of a word: 5, of `ok. 5 passed; 0 failed`.
fn number_before(text: &str, word: &str) -> usize {
    let found = text.split([';', '.']).find_map(|part| part.trim().strip_suffix(word));
    found.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Counts;

    fn read(succeeded: bool, text: &str) -> Counts {
        Counts::read("a run", succeeded, &text.lines().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn results_of_all_test_programs_are_added() {
        let counts = read(
            false,
            "test a ... ok\ntest b ... FAILED\n---- b stdout ----\n\n\
             thread 'b' (7) panicked at b.rs:5:9:\nexpected 1, got 2\nstack backtrace:\n\
             test result: FAILED. 5 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out\n\
             test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; finished in 0.01s\n",
        );
        assert_eq!((counts.passed, counts.failed, counts.skipped), (12, 1, 2));
        assert_eq!(counts.failures, ["b\n    b.rs:5:9: expected 1, got 2"]);
    }

    #[test]
    fn what_pytest_says_is_counted_too() {
        let text = "..F.s\nSKIPPED [1] a.py:5: no agent\nFAILED b.py::c - assert 1 == 2\n\
                    1 failed, 3 passed, 1 skipped in 1.58s\n";
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let counts = Counts::read_pytest(false, &lines);
        assert_eq!((counts.passed, counts.failed, counts.skipped), (3, 1, 1));
        assert_eq!(counts.failures, ["FAILED b.py::c - assert 1 == 2"]);
        assert_eq!(Counts::read_pytest(false, &[]).failed, 1, "a crash");
    }

    #[test]
    fn a_crash_is_a_failure() {
        let counts = read(false, "test result: ok. 5 passed; 0 failed; 0 ignored\n");
        assert_eq!((counts.passed, counts.failed), (5, 1));
    }

    #[test]
    fn a_test_that_could_not_run_has_not_passed() {
        let mut counts = read(true, "test result: ok. 5 passed; 0 failed; 0 ignored\n");
        counts.skip(&["SKIPPED: a: needs root".to_owned()]);
        assert_eq!((counts.passed, counts.failed, counts.skipped), (4, 0, 1));
    }
}
