//! Quantiles of latency from the kernel side's histogram.

use profiler_common::latency::{BUCKETS, Histogram, greatest};
use serde::{Deserialize, Serialize};

/// How long requests took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyHistogram {
    /// Requests per bucket.
    pub counts: Histogram,
    /// The slowest, in microseconds.
    pub max_us: u64,
}

/// Latencies of block requests, in microseconds. Quantiles are upper bounds, at most 12.5 % high.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the requests took no longer.
    pub p50: u64,
    /// 95 in 100 took no longer.
    pub p95: u64,
    /// 99 in 100 took no longer.
    pub p99: u64,
    /// The slowest.
    pub max: u64,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], max_us: 0 }
    }
}

impl LatencyHistogram {
    /// The quantiles; `None` if there was no request.
    #[must_use]
    pub fn quantiles(&self) -> Option<Latency> {
        let all: u64 = self.counts.iter().sum();
        let quantile = |percent: u64| {
            let rank = (all * percent).div_ceil(100);
            let mut seen = 0;
            let bucket = self.counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            bucket.map_or(self.max_us, |bucket| greatest(bucket).min(self.max_us))
        };
        (all > 0).then(|| Latency {
            p50: quantile(50),
            p95: quantile(95),
            p99: quantile(99),
            max: self.max_us,
        })
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::latency::bucket;

    use super::*;

    #[test]
    fn quantiles_are_at_most_an_eighth_high_and_never_above_the_slowest() {
        let mut histogram = LatencyHistogram { max_us: 1000, ..LatencyHistogram::default() };
        for us in 1..=1000 {
            histogram.counts[bucket(us)] += 1;
        }
        let latency = histogram.quantiles().unwrap();
        for (found, exact) in [(latency.p50, 500), (latency.p95, 950), (latency.p99, 990)] {
            assert!((exact..=exact * 9 / 8).contains(&found), "{found} for {exact}");
        }
        assert_eq!(latency.max, 1000);
        assert!(latency.p99 <= latency.max);
    }

    #[test]
    fn no_request_has_no_latency() {
        assert_eq!(LatencyHistogram::default().quantiles(), None);
    }
}
