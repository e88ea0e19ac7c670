//! Two sets of runs side by side, as people read them.

use crate::model::diff::{Comparison, Spread, Unit, Values, Verdict};
use crate::model::units::{bytes, count, counted, duration, percent, ratio};
use crate::ui::table::Table;
use crate::ui::text::{plain, shortened};

/// One of the two sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// What ran.
    pub command: String,
    /// How many runs there are.
    pub runs: usize,
}

/// The comparison of `sets` as text. Without `all`, what is 0 or unknown everywhere is left out.
#[must_use]
pub fn comparison(sets: &[Set; 2], figures: &[Comparison], notes: &[String], all: bool) -> String {
    let mut text = String::new();
    for (name, set) in ["A", "B"].iter().zip(sets) {
        let command = shortened(&plain(&set.command), 60);
        text += &format!("  {name}: {}  {command}\n", counted(set.runs as u64, "run"));
    }
    let has_spread = sets.iter().all(|set| set.runs > 1);
    let heading = ["", "A", "B", "B/A", "between", "B is"];
    let columns = if has_spread { heading.len() } else { 4 };
    let mut table = Table::new(&heading[..columns], 1..5);
    for figure in figures.iter().filter(|figure| all || !figure.is_nothing()) {
        let mut row = cells(figure);
        row.truncate(columns);
        table.row(row);
    }
    text.push('\n');
    text += &table.render();
    text.push('\n');
    for note in explanation(sets, figures, has_spread).iter().chain(notes) {
        text += &format!("  {}\n", plain(note));
    }
    text
}

fn cells(figure: &Comparison) -> Vec<String> {
    let value = |values: Option<Values>| {
        values.map_or_else(|| "-".to_owned(), |values| shown(values.median, figure.unit))
    };
    vec![
        label(figure.name),
        value(figure.a),
        value(figure.b),
        figure.ratio.map_or_else(|| "-".to_owned(), ratio),
        figure.spread.as_ref().map_or_else(|| "-".to_owned(), between),
        said(figure.verdict).to_owned(),
    ]
}

/// A figure's name in the record as words; the unit is with the value.
fn label(name: &str) -> String {
    let name = name.strip_suffix("_ns").unwrap_or(name).replace("_us.", "_");
    name.replace('_', " ")
}

#[expect(clippy::cast_sign_loss, reason = "no figure is below 0, and what is too great saturates")]
fn shown(median: f64, unit: Unit) -> String {
    // Between two runs a count may be half a thing.
    if unit == Unit::Count && median.fract() != 0.0 && median < 1000.0 {
        return format!("{median:.1}");
    }
    let whole = median.round() as u64;
    match unit {
        Unit::Nanoseconds => duration(whole),
        Unit::Microseconds => duration(whole.saturating_mul(1000)),
        Unit::Bytes => bytes(whole),
        Unit::Count => count(whole),
    }
}

fn between(spread: &Spread) -> String {
    format!("{}–{}", ratio(spread.low), ratio(spread.high))
}

const fn said(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::More => "more",
        Verdict::Less => "less",
        Verdict::Equal => "equal",
        Verdict::NoDifferenceShown => "not shown",
        Verdict::OneRun | Verdict::TooFewRuns | Verdict::Unknown => "-",
    }
}

/// What the columns are worth.
fn explanation(sets: &[Set; 2], figures: &[Comparison], has_spread: bool) -> Vec<String> {
    if !has_spread {
        let is_pair = sets.iter().all(|set| set.runs == 1);
        let who = if is_pair { "One run each" } else { "One run on a side" };
        return vec![
            format!("{who}: no spread, so no verdict. With sets there is one:"),
            "profiler diff A1.json A2.json A3.json -- B1.json B2.json B3.json".to_owned(),
        ];
    }
    let Some(miss) = figures.iter().find_map(|figure| figure.spread).map(|spread| spread.miss)
    else {
        return Vec::new();
    };
    let too_few = figures.iter().any(|figure| figure.verdict == Verdict::TooFewRuns);
    if too_few {
        return vec![
            "A and B are medians. Too few runs for a verdict: take at least 3 and 3.".into(),
        ];
    }
    vec![
        "A and B are medians. \"not shown\": there may be a difference, but these runs".into(),
        "do not show it. Of figures that do not differ, up to".to_owned()
            + &format!(" {} get \"more\" or \"less\"", percent(miss)),
        "by chance; more runs make it fewer.".into(),
    ]
}

#[cfg(test)]
mod tests;
