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

/// Whole microseconds of nanoseconds. Up to 17 s without a division, which takes some ten times as
/// long as the multiplication.
#[must_use]
#[inline(always)]
pub const fn microseconds(ns: u64) -> u64 {
    /// 2^38 by 125, rounded up; exact for the quotient of any number below 2^31.
    const BY_125: u64 = 2_199_023_256;
    if ns < 1 << 34 { (ns >> 3).wrapping_mul(BY_125) >> 38 } else { ns / 1000 }
}

/// The bucket of a latency in microseconds.
#[must_use]
#[inline(always)]
pub const fn bucket(us: u64) -> usize {
    if us < 1 << DIGITS {
        return us as usize;
    }
    if us >= 1 << 32 {
        return BUCKETS - 1;
    }
    let doubling = doubling(us as u32);
    let digits = (us >> (doubling - DIGITS)) as usize & ((1 << DIGITS) - 1);
    let bucket = ((doubling - DIGITS + 1) as usize) << DIGITS | digits;
    if bucket < BUCKETS { bucket } else { BUCKETS - 1 }
}

/// The binary logarithm of a number above 0. BPF has no instruction for it, and what the compiler makes
/// instead is twice as long.
#[inline(always)]
const fn doubling(mut number: u32) -> u32 {
    let mut log = 0;
    if number >> 16 != 0 {
        number >>= 16;
        log = 16;
    }
    if number >> 8 != 0 {
        number >>= 8;
        log += 8;
    }
    if number >> 4 != 0 {
        number >>= 4;
        log += 4;
    }
    if number >> 2 != 0 {
        number >>= 2;
        log += 2;
    }
    log + (number >> 1)
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
    fn microseconds_are_whole_ones() {
        let near_all = (0..34).map(|bit| 1_u64 << bit).flat_map(|ns| ns.saturating_sub(2)..ns + 2);
        let steps = (0..1_u64 << 35).step_by(999_983);
        for ns in near_all.chain(steps).chain((1 << 34) - 5..(1 << 34) + 5).chain([u64::MAX]) {
            assert_eq!(microseconds(ns), ns / 1000, "{ns} ns");
        }
        for us in (0..17_179_869).step_by(7) {
            assert_eq!(microseconds(us * 1000 + 999), us);
            assert_eq!(microseconds(us * 1000), us);
        }
    }

    #[test]
    fn a_buckets_bounds_are_at_most_an_eighth_apart() {
        for bucket_index in 8..BUCKETS {
            let first = greatest(bucket_index - 1) + 1;
            assert!((greatest(bucket_index) + 1 - first) * 8 <= first);
        }
    }
}
