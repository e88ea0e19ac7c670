//! The types that a setting may have: how each is written, and what of it makes sense.

use std::path::PathBuf;
use std::time::Duration;

use super::key_path::text;
use super::raw::Raw;
use crate::model::Bytes;

/// A type of setting.
pub(super) trait Setting: Sized {
    /// What bounds its values.
    type Limits;

    /// What it must be, to complete "must be ...".
    fn expected(limits: &Self::Limits) -> String;

    /// What was written, if it can be read and makes sense.
    fn read(raw: &Raw, limits: &Self::Limits) -> Option<Self>;

    /// The value as TOML takes it; `None` if it is unset.
    fn written(&self) -> Option<String>;
}

/// The least and the most that a value may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Within<T>(pub(super) T, pub(super) T);

impl<T: PartialOrd> Within<T> {
    fn admit(&self, value: T) -> Option<T> {
        (self.0 <= value && value <= self.1).then_some(value)
    }
}

/// What nothing bounds but its type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Any;

impl Setting for bool {
    type Limits = Any;

    fn expected(_: &Any) -> String {
        "true or false".to_owned()
    }

    fn read(raw: &Raw, _: &Any) -> Option<Self> {
        match raw {
            Raw::Boolean(value) => Some(*value),
            Raw::Word(word) => match word.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    fn written(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for u32 {
    type Limits = Within<Self>;

    fn expected(limits: &Self::Limits) -> String {
        format!("a whole number from {} to {}", limits.0, limits.1)
    }

    fn read(raw: &Raw, limits: &Self::Limits) -> Option<Self> {
        let value = match raw {
            Raw::Whole(value) => Self::try_from(*value).ok(),
            Raw::Word(word) => word.parse().ok(),
            _ => None,
        };
        limits.admit(value?)
    }

    fn written(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Setting for f64 {
    type Limits = Within<Self>;

    fn expected(limits: &Self::Limits) -> String {
        format!("a number from {} to {}", limits.0, limits.1)
    }

    fn read(raw: &Raw, limits: &Self::Limits) -> Option<Self> {
        let value = match raw {
            // Exact within all limits that occur.
            Raw::Whole(value) => i32::try_from(*value).ok().map(Self::from),
            Raw::Number(value) => Some(*value),
            Raw::Word(word) => word.parse().ok(),
            _ => None,
        };
        // Comparisons leave out what is not a number.
        limits.admit(value?)
    }

    fn written(&self) -> Option<String> {
        // With a point, which TOML asks for.
        Some(format!("{self:?}"))
    }
}

/// The units of time, longest first.
const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Setting for Duration {
    type Limits = Within<Self>;

    fn expected(limits: &Self::Limits) -> String {
        let (least, most) = (time(&limits.0), time(&limits.1));
        format!(
            "a time from {least} to {most}, such as \"250ms\", \"30s\", \"5m\", \"2h\" or \"7d\""
        )
    }

    fn read(raw: &Raw, limits: &Self::Limits) -> Option<Self> {
        let (number, unit) = number_and_unit(raw.text()?)?;
        let (_, unit_ms) = TIMES.iter().find(|(name, _)| *name == unit)?;
        let unit_seconds = Self::from_millis(*unit_ms).as_secs_f64();
        let value = Self::try_from_secs_f64(number * unit_seconds).ok()?;
        // A time is kept in whole milliseconds, so that what is shown is what is meant.
        let value = Self::from_millis(u64::try_from(value.as_millis()).ok()?);
        limits.admit(value)
    }

    fn written(&self) -> Option<String> {
        Some(text(&time(self)))
    }
}

/// A time in the longest unit that gives a whole number.
fn time(value: &Duration) -> String {
    let ms = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    let fitting = TIMES.iter().find(|(_, unit)| ms >= *unit && ms % unit == 0);
    fitting.map_or_else(|| format!("{ms}ms"), |(name, unit)| format!("{}{name}", ms / unit))
}

/// The units of size, each after those that it is a multiple of; larger first within a family.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl Setting for Bytes {
    type Limits = Within<Self>;

    fn expected(limits: &Self::Limits) -> String {
        let (least, most) = (size(limits.0), size(limits.1));
        format!("a size from {least} to {most}, such as \"500 MB\" or \"1 GiB\"")
    }

    fn read(raw: &Raw, limits: &Self::Limits) -> Option<Self> {
        let (number, unit) = number_and_unit(raw.text()?)?;
        let is_named = |name: &str| name.eq_ignore_ascii_case(unit);
        let (_, unit_bytes) = SIZES.iter().find(|(name, _)| is_named(name))?;
        limits.admit(Self(product(number, *unit_bytes)?))
    }

    fn written(&self) -> Option<String> {
        Some(text(&size(*self)))
    }
}

/// A size in the unit that gives the shortest whole number.
fn size(Bytes(bytes): Bytes) -> String {
    let whole = SIZES.iter().filter(|(_, unit)| bytes >= *unit && bytes % unit == 0);
    let texts = whole.map(|(name, unit)| format!("{} {name}", bytes / unit));
    texts.min_by_key(String::len).unwrap_or_else(|| "0 B".to_owned())
}

/// A number of units, to a whole number; `None` beyond 2^53, where that would not be exact.
#[expect(clippy::cast_precision_loss, reason = "units are below 2^53")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just before")]
fn product(number: f64, unit: u64) -> Option<u64> {
    let product = (number * unit as f64).round();
    (0.0..=9_007_199_254_740_992.0).contains(&product).then_some(product as u64)
}

/// `12.5 MB`, `12.5MB`: the number and the unit, which must be there.
fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

impl Setting for PathBuf {
    type Limits = Any;

    fn expected(_: &Any) -> String {
        "an absolute path in quotes".to_owned()
    }

    fn read(raw: &Raw, _: &Any) -> Option<Self> {
        let text = raw.text()?;
        let is_path = text.starts_with('/') && !text.chars().any(char::is_control);
        is_path.then(|| Self::from(text))
    }

    fn written(&self) -> Option<String> {
        Some(text(&self.to_string_lossy()))
    }
}

/// What a name in the configuration may be: of a connector, a source, a provider, a group. So much
/// of it is kept in the kernel's maps.
pub(super) const NAME: &str = "a name of 1 to 63 bytes without control characters";

/// Whether it is one.
pub(super) fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len()) && !text.chars().any(char::is_control)
}

impl Setting for String {
    type Limits = Any;

    fn expected(_: &Any) -> String {
        format!("{NAME}, in quotes")
    }

    fn read(raw: &Raw, _: &Any) -> Option<Self> {
        raw.text().filter(|text| is_name(text)).map(str::to_owned)
    }

    fn written(&self) -> Option<String> {
        Some(text(self))
    }
}

impl Setting for Vec<String> {
    type Limits = Any;

    fn expected(_: &Any) -> String {
        "a list of names, such as [\"openai\", \"github\"]".to_owned()
    }

    fn read(raw: &Raw, limits: &Any) -> Option<Self> {
        match raw {
            Raw::List(items) => items.iter().map(|item| String::read(item, limits)).collect(),
            _ => None,
        }
    }

    fn written(&self) -> Option<String> {
        let items: Vec<_> = self.iter().map(|item| text(item)).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

impl<T: Setting> Setting for Option<T> {
    type Limits = T::Limits;

    fn expected(limits: &Self::Limits) -> String {
        T::expected(limits)
    }

    fn read(raw: &Raw, limits: &Self::Limits) -> Option<Self> {
        T::read(raw, limits).map(Some)
    }

    fn written(&self) -> Option<String> {
        self.as_ref().and_then(T::written)
    }
}

/// Makes a setting of an enumeration: one of these words.
macro_rules! words {
    ($type:ty { $($word:literal => $value:path),+ $(,)? }) => {
        impl $crate::config::setting::Setting for $type {
            type Limits = $crate::config::setting::Any;

            fn expected(_: &Self::Limits) -> String {
                let words: &[&str] = &[$($word),+];
                let words: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", words.join(", "))
            }

            fn read(raw: &$crate::config::raw::Raw, _: &Self::Limits) -> Option<Self> {
                match raw.text()? {
                    $($word => Some($value),)+
                    _ => None,
                }
            }

            fn written(&self) -> Option<String> {
                Some(match self { $($value => concat!("\"", $word, "\""),)+ }.to_owned())
            }
        }
    };
}
pub(super) use words;

#[cfg(test)]
mod tests {
    use super::*;

    fn read_time(word: &str) -> Option<Duration> {
        let limits = Within(Duration::from_millis(1), Duration::from_hours(24 * 365));
        Duration::read(&Raw::Text(word.to_owned()), &limits)
    }

    fn read_size(word: &str) -> Option<u64> {
        let limits = Within(Bytes(0), Bytes(1 << 50));
        Bytes::read(&Raw::Text(word.to_owned()), &limits).map(|bytes| bytes.0)
    }

    #[test]
    fn a_time_has_a_unit() {
        assert_eq!(read_time("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(read_time("1.5 s"), Some(Duration::from_millis(1500)));
        assert_eq!(read_time("7d"), Some(Duration::from_hours(168)));
        for wrong in ["250", "", "s", "-1s", "1e9s", "inf s", "NaNs", "1 parsec", "1.2.3s", "0ms"] {
            assert_eq!(read_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_size_has_a_unit_and_the_unit_means_what_it_says() {
        assert_eq!(read_size("500 MB"), Some(500_000_000));
        assert_eq!(read_size("1MiB"), Some(1 << 20));
        assert_eq!(read_size("1.5 GiB"), Some(3 << 29));
        assert_eq!(read_size("0B"), Some(0));
        for wrong in ["500", "MB", "-1 MB", "1e30 MB", "999999999999 TiB", "1 MM"] {
            assert_eq!(read_size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_is_read_as_the_same_value() {
        for ms in [1, 250, 1000, 90_000, 3_600_000, 86_400_000, 86_400_001] {
            let value = Duration::from_millis(ms);
            assert_eq!(read_time(&time(&value)), Some(value));
        }
        for bytes in [0, 1, 1000, 1024, 500_000_000, 1 << 20, (1 << 40) + 1] {
            assert_eq!(read_size(&size(Bytes(bytes))), Some(bytes));
        }
        assert_eq!(size(Bytes(500_000_000)), "500 MB");
        assert_eq!(time(&Duration::from_secs(90)), "90s");
    }

    #[test]
    fn numbers_that_are_none_and_numbers_out_of_range_are_refused() {
        let limits = Within(0.1, 100.0);
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 0.0, 1e300] {
            assert_eq!(f64::read(&Raw::Number(wrong), &limits), None, "{wrong}");
        }
        assert_eq!(f64::read(&Raw::Whole(i128::MAX), &limits), None);
        assert_eq!(f64::read(&Raw::Whole(7), &limits), Some(7.0));
        for wrong in [-1, 0, i128::from(u32::MAX) + 1, i128::MIN] {
            assert_eq!(u32::read(&Raw::Whole(wrong), &Within(1, u32::MAX)), None, "{wrong}");
        }
    }

    #[test]
    fn a_word_of_the_environment_is_read_by_the_type_of_its_setting() {
        let word = |word: &str| Raw::Word(word.to_owned());
        assert_eq!(bool::read(&word("Yes"), &Any), Some(true));
        assert_eq!(bool::read(&word("0"), &Any), Some(false));
        assert_eq!(bool::read(&word("maybe"), &Any), None);
        assert_eq!(f64::read(&word("85"), &Within(5.0, 100.0)), Some(85.0));
        assert_eq!(f64::read(&word("nan"), &Within(5.0, 100.0)), None);
        assert_eq!(f64::read(&Raw::Text("85".to_owned()), &Within(5.0, 100.0)), None);
    }
}
