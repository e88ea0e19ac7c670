//! Figures as people read them.

use std::time::Duration;

/// A duration with three or four digits and its unit: `1.24 s`, `830 ms`, `12.5 µs`, `2 h 05 m`.
#[must_use]
pub fn duration(nanoseconds: u64) -> String {
    let duration = Duration::from_nanos(nanoseconds);
    let (seconds, minutes) = (duration.as_secs(), duration.as_secs() / 60);
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => scaled(nanoseconds, 1_000, "µs"),
        1_000_000..1_000_000_000 => scaled(nanoseconds, 1_000_000, "ms"),
        _ if seconds < 100 => scaled(nanoseconds, 1_000_000_000, "s"),
        _ if minutes < 60 => format!("{minutes} m {:02} s", seconds % 60),
        _ => format!("{} h {:02} m", minutes / 60, minutes % 60),
    }
}

/// A number of bytes with its binary unit: `512 B`, `1.50 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let exponent = (bytes.ilog2() / 10).min(5);
    scaled(bytes, 1 << (10 * exponent), UNITS[exponent as usize - 1])
}

/// A count with its digits in groups of three: `12,345`.
#[must_use]
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count with what is counted: `1 task`, `12 tasks`, `2 processes`.
#[must_use]
pub fn counted(number: u64, one: &str) -> String {
    format!("{} {}", count(number), plural(number, one))
}

/// The word for so many: `task`, `tasks`, `processes`.
#[must_use]
pub fn plural(number: u64, one: &str) -> String {
    let ending = match one {
        _ if number == 1 => "",
        _ if one.ends_with('s') => "es",
        _ => "s",
    };
    format!("{one}{ending}")
}

/// A part of 1 in percent: `71 %`; what is there and rounds to nothing is `<1 %`.
#[must_use]
pub fn percent(part: f64) -> String {
    match (part * 100.0).round() {
        0.0 if part > 0.0 => "<1 %".to_owned(),
        rounded => format!("{rounded:.0} %"),
    }
}

/// How many times as much, with three digits: `0.893`, `1.25`, `140`; `0` for nothing left, `∞` for
/// growth from nothing.
#[must_use]
pub fn ratio(ratio: f64) -> String {
    match ratio {
        0.0 => "0".to_owned(),
        ..0.9995 => format!("{ratio:.3}"),
        0.9995..9.995 => format!("{ratio:.2}"),
        9.995..99.95 => format!("{ratio:.1}"),
        99.95..10_000.0 => format!("{ratio:.0}"),
        f64::INFINITY => "∞".to_owned(),
        _ => format!("{ratio:.1e}"),
    }
}

fn scaled(value: u64, unit: u64, name: &str) -> String {
    let scaled = value as f64 / unit as f64;
    // Three digits, and what rounds up to four keeps the point away.
    match scaled {
        ..9.995 => format!("{scaled:.2} {name}"),
        ..99.95 => format!("{scaled:.1} {name}"),
        _ => format!("{scaled:.0} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_in_every_unit() {
        let shown = [0, 999, 1_000, 12_540, 999_994, 830_000_000, 1_240_000_000, 99_990_000_000];
        let expected =
            ["0 ns", "999 ns", "1.00 µs", "12.5 µs", "1000 µs", "830 ms", "1.24 s", "100 s"];
        assert_eq!(shown.map(duration), expected);
        assert_eq!(duration(125_000_000_000), "2 m 05 s");
        assert_eq!(duration(7_500_000_000_000), "2 h 05 m");
    }

    #[test]
    fn bytes_use_binary_units() {
        assert_eq!(
            [0, 1023, 1024, 1 << 20, 3 << 29].map(bytes),
            ["0 B", "1023 B", "1.00 KiB", "1.00 MiB", "1.50 GiB"]
        );
        assert_eq!(bytes(u64::MAX), "16384 PiB");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(counted(1, "task"), "1 task");
        assert_eq!(counted(0, "task"), "0 tasks");
        assert_eq!(counted(1200, "process"), "1,200 processes");
    }

    #[test]
    fn what_is_there_is_not_shown_as_nothing() {
        assert_eq!([0.0, 0.001, 0.714, 1.0].map(percent), ["0 %", "<1 %", "71 %", "100 %"]);
    }

    #[test]
    fn ratios_keep_three_digits() {
        let shown = [0.0, 0.12345, 0.9996, 1.0, 1.2345, 12.345, 123.45, 123_456.0, f64::INFINITY];
        let expected = ["0", "0.123", "1.00", "1.00", "1.23", "12.3", "123", "1.2e5", "∞"];
        assert_eq!(shown.map(ratio), expected);
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
