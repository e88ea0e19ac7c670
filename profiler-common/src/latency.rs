//! Histograms of latency: the kernel side counts into buckets, the agent reads quantiles from them.
//!
//! Eight buckets to each doubling, so that a bucket's bounds are at most 12.5 % apart; single
//! microseconds below 8 µs; everything from 16.8 s on in the last one.

/// Number of buckets.
pub const BUCKETS: usize = 176;

/// Counts per bucket.
pub type Histogram = [u64; BUCKETS];

/// Eight buckets to each doubling.
const DIGITS: u32 = 3;

/// The bucket of a latency in microseconds.
#[must_use]
#[inline(always)]
pub const fn bucket(us: u64) -> usize {
    if us < 1 << DIGITS {
        return us as usize;
    }
    let doubling = us.ilog2();
    let digits = (us >> (doubling - DIGITS)) as usize & ((1 << DIGITS) - 1);
    let bucket = ((doubling - DIGITS + 1) as usize) << DIGITS | digits;
    if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
}

/// The greatest latency that falls into a bucket, in microseconds.
#[must_use]
pub const fn greatest(bucket: usize) -> u64 {
    if bucket < 1 << DIGITS {
        return bucket as u64;
    }
    let (shift, digits) = ((bucket >> DIGITS) - 1, bucket & ((1 << DIGITS) - 1));
    (((1 << DIGITS) + digits as u64 + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for bucket_index in 1..BUCKETS {
            let first = greatest(bucket_index - 1) + 1;
            assert_eq!(
                (bucket(first), bucket(greatest(bucket_index))),
                (bucket_index, bucket_index)
            );
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_buckets_bounds_are_at_most_an_eighth_apart() {
        for bucket_index in 8..BUCKETS {
            let first = greatest(bucket_index - 1) + 1;
            assert!((greatest(bucket_index) + 1 - first) * 8 <= first);
        }
    }
}
