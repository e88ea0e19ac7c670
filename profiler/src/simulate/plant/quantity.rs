//! Numbers of a plant that say in their type what may be written for them.

use serde::Deserialize;

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $allowed:literal, $test:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
        #[serde(try_from = "f64")]
        pub struct $name(f64);

        impl $name {
            /// One.
            pub const ONE: Self = Self(1.0);

            /// A number of the program's own, that is allowed.
            pub(super) const fn new(value: f64) -> Self {
                Self(value)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = String;

            fn try_from(value: f64) -> Result<Self, String> {
                let is_allowed: fn(f64) -> bool = $test;
                if value.is_finite() && is_allowed(value) {
                    Ok(Self(value))
                } else {
                    Err(format!(concat!("{} is not ", $allowed), value))
                }
            }
        }
    };
}

quantity!(
    /// A number above 0.
    Positive,
    "a number above 0, up to 1e12",
    |value| value > 0.0 && value <= 1e12
);
quantity!(
    /// A number of 0 or above.
    Amount,
    "a number from 0 to 1e12",
    |value| (0.0..=1e12).contains(&value)
);
quantity!(
    /// A part of a whole.
    Share,
    "a number from 0 to 1",
    |value| (0.0..=1.0).contains(&value)
);

/// A count from 1 to 1,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "i64")]
pub struct Count(u16);

impl Count {
    /// The most that a plant may have of anything that it counts.
    pub const MOST: u16 = 1000;
    /// One.
    pub const ONE: Self = Self(1);

    /// `count` as far as it is allowed.
    #[must_use]
    pub const fn saturating(count: u16) -> Self {
        Self(if count < 1 {
            1
        } else if count > Self::MOST {
            Self::MOST
        } else {
            count
        })
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        u32::from(self.0)
    }

    /// The number, for arithmetic with times and rates.
    #[must_use]
    pub fn float(self) -> f64 {
        f64::from(self.0)
    }
}

impl TryFrom<i64> for Count {
    type Error = String;

    fn try_from(value: i64) -> Result<Self, String> {
        u16::try_from(value)
            .ok()
            .filter(|count| (1..=Self::MOST).contains(count))
            .map(Self)
            .ok_or_else(|| format!("{value} is not a whole number from 1 to {}", Self::MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_quantity_is_refused_with_what_would_be_one() {
        assert_eq!(Positive::try_from(0.5).map(Positive::get), Ok(0.5));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e13] {
            let error = Positive::try_from(bad).unwrap_err();
            assert!(error.ends_with("is not a number above 0, up to 1e12"), "{error}");
        }
        assert!(Share::try_from(1.01).is_err());
        assert!(Amount::try_from(0.0).is_ok());
    }

    #[test]
    fn counts_start_at_one_and_end_somewhere() {
        assert_eq!(Count::try_from(16).map(Count::get), Ok(16));
        for bad in [0, -1, 1001, i64::MAX] {
            assert!(Count::try_from(bad).is_err());
        }
    }
}
