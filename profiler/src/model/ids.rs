//! Names for what the core speaks of, as numbers: whoever calls it turns names into them once.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($number:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $number);
    };
}

id! {
    /// A connector, numbered from 0 in the order in which connectors became known.
    ConnectorId(u32)
}
id! {
    /// One mailbox, vault or account that a connector works for.
    SourceId(u32)
}
id! {
    /// A provider, numbered from 0 in the order in which providers became known.
    ProviderId(u32)
}
id! {
    /// A lease: the right to run one job. Never used twice, not even after a restart.
    LeaseId(u64)
}
id! {
    /// A request that waits or waited for a slot or a permit. Never used twice.
    Ticket(u64)
}
id! {
    /// A place at a provider that is held apart from a lease's own. Never used twice.
    PermitId(u64)
}
id! {
    /// Whom a lease belongs to, as the caller numbers them: a connection.
    Owner(u64)
}
id! {
    /// An amount of memory or data.
    Bytes(u64)
}
id! {
    /// Nanoseconds on a monotonic clock. The core never reads it: it is told.
    Moment(u64)
}

impl ConnectorId {
    /// The place in a list that holds one element per connector.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl ProviderId {
    /// The place in a list that holds one element per provider.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Bytes {
    /// Megabytes of 2^20 bytes, as profiles have them; what is negative or not a number is 0.
    #[must_use]
    pub fn from_mb(mb: f64) -> Self {
        Self::from_f64(mb * 1_048_576.0)
    }

    /// A computed amount; what is negative or not a number is 0.
    #[must_use]
    #[allow(clippy::cast_sign_loss, reason = "such a cast saturates, which is what is promised")]
    pub fn from_f64(bytes: f64) -> Self {
        Self(bytes as u64)
    }

    /// For computing with means and deviations; exact up to 2^53.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// The sum, at most what fits.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least 0.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Moment {
    /// Time from `earlier` to here; none if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    /// Later by a duration, at most the end of the clock.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    /// Earlier by a duration, at least the start of the clock.
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_amount_of_memory_is_none() {
        for odd in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(Bytes::from_mb(odd), Bytes(0));
        }
        assert_eq!(Bytes::from_mb(f64::INFINITY), Bytes(u64::MAX));
        assert_eq!(Bytes::from_mb(1.5), Bytes(1_572_864));
    }

    #[test]
    fn times_saturate() {
        assert_eq!(Moment(5).since(Moment(7)), Duration::ZERO);
        assert_eq!(Moment(u64::MAX) + Duration::from_secs(1), Moment(u64::MAX));
        assert_eq!(Moment(3) - Duration::from_secs(1), Moment(0));
    }
}
