//! What the benchmarks share: a load whose every step is a switch, programs to compare with, and
//! figures as ratios of one run.

pub mod control;
pub mod cost;
pub mod events;
pub mod load;
pub mod loaded;
pub mod peer;
pub mod ping_pong;

/// The middle value. Of an even number, the lower one of the two.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// A value such that this share of all, in percent, lies below it.
#[must_use]
pub fn quantile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = values.len().saturating_sub(1) * percent / 100;
    values.get(at).copied().unwrap_or(f64::NAN)
}

/// Between which two of the values the median of all that could have been measured lies, 95 times in a
/// hundred: as many lie on each side of it as a fair coin shows heads, however values are distributed.
#[must_use]
pub fn around_median(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let count = values.len() as f64;
    // Less 1.96 deviations of the number of heads.
    #[allow(clippy::cast_sign_loss, reason = "at least one")]
    let outside = (count / 2.0 - 0.98 * count.sqrt()).max(1.0) as usize - 1;
    let ends = (values.get(outside), values.iter().rev().nth(outside));
    (ends.0.copied().unwrap_or(f64::NAN), ends.1.copied().unwrap_or(f64::NAN))
}

/// A number from the command line, or the usual one. What is no number ends the program with a line that
/// says how it is used.
#[must_use]
pub fn argument<T: std::str::FromStr>(position: usize, usual: T, usage: &str) -> T {
    let Some(word) = std::env::args().nth(position) else { return usual };
    word.parse().unwrap_or_else(|_| {
        eprintln!("{word:?} is not a whole number\nusage: cargo xtask bench {usage}");
        std::process::exit(2)
    })
}
