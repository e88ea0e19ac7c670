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
    fn counts_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }
}
