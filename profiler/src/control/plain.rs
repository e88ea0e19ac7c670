//! The plain rule for a limit, which needs nothing but the profile and the host's gauges.

use serde::{Deserialize, Serialize};

use crate::model::{Bytes, Constraint, HostSample, ResourceProfile};

/// A limit by the plain rule, with what bound it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plain {
    /// How many jobs there may be, at least 1.
    pub limit: u32,
    /// What binds.
    pub constraint: Constraint,
    /// Whether it was halved because the host is above the profile's threshold.
    pub halved: bool,
}

/// Slots of a connector whose profile has no cap.
const CAP: u32 = 8;

/// `min(profile cap or 8, free cores / avg_cpu_cores, free memory / avg_memory_mb)`, halved above
/// the threshold, at least 1. Free is what neither others nor a reserve need; what the connector's
/// own `running` jobs hold counts as free, or a limit would fall as its slots are used.
#[must_use]
pub fn plain(profile: &ResourceProfile, host: &HostSample, reserve: Bytes, running: u32) -> Plain {
    let running = f64::from(running);
    let idle = host.cores * (1.0 - host.cpu_share());
    let by_cpu = idle / profile.avg_cpu_cores + running;
    let memory = host.memory_available.less(reserve);
    let by_memory = memory.as_f64() / Bytes::from_mb(profile.avg_memory_mb).as_f64() + running;
    let cap = profile.max_concurrent_jobs.unwrap_or(CAP);
    let mut limit = (f64::from(cap), Constraint::Cap);
    for (bound, constraint) in [(by_cpu, Constraint::Cpu), (by_memory, Constraint::Memory)] {
        // A figure that is none, of a host that says nothing, binds nothing.
        if bound.is_finite() && bound < limit.0 {
            limit = (bound, constraint);
        }
    }
    let share = host.cpu_share().max(host.memory_share());
    let halved = share > profile.backpressure_threshold;
    let slots = if halved { limit.0 / 2.0 } else { limit.0 };
    #[allow(clippy::cast_sign_loss, reason = "clamped between 1 and a cap")]
    let whole = slots.floor().clamp(1.0, f64::from(cap.max(1))) as u32;
    let constraint = if slots < 1.0 { Constraint::Floor } else { limit.1 };
    Plain { limit: whole, constraint, halved }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::model::Partial;

    fn host(cores: f64, busy: f64, available_mb: f64) -> HostSample {
        HostSample {
            interval: Duration::from_secs(1),
            cores,
            busy: Duration::from_secs_f64(busy),
            memory_total: Bytes::from_mb(16_384.0),
            memory_available: Bytes::from_mb(available_mb),
            ..HostSample::default()
        }
    }

    fn rule(host: &HostSample, running: u32) -> (u32, Constraint, bool) {
        let plain = plain(&ResourceProfile::default(), host, Bytes::from_mb(500.0), running);
        (plain.limit, plain.constraint, plain.halved)
    }

    #[test]
    fn the_least_of_cap_cores_and_memory_is_the_limit() {
        assert_eq!(rule(&host(16.0, 0.0, 16_000.0), 0), (8, Constraint::Cap, false));
        assert_eq!(rule(&host(4.0, 2.0, 16_000.0), 0), (4, Constraint::Cpu, false));
        assert_eq!(rule(&host(16.0, 0.0, 4_000.0), 0), (8, Constraint::Cap, false));
        // 1300 - 500 MB are room for three; and the host is over 80 % full, so one.
        assert_eq!(rule(&host(16.0, 0.0, 1_300.0), 0), (1, Constraint::Memory, true));
    }

    #[test]
    fn what_its_own_jobs_use_is_theirs_to_use() {
        assert_eq!(rule(&host(4.0, 2.0, 16_000.0), 4), (8, Constraint::Cap, false));
    }

    #[test]
    fn a_full_host_has_half_the_slots_and_never_none() {
        assert_eq!(rule(&host(4.0, 3.5, 16_000.0), 3), (2, Constraint::Cpu, true));
        assert_eq!(rule(&host(4.0, 4.0, 100.0), 0), (1, Constraint::Floor, true));
    }

    proptest! {
        #[test]
        fn there_is_a_slot_and_no_more_than_the_cap(
            cores in any::<f64>(),
            available in any::<u64>(),
            total in any::<u64>(),
            busy in 0u64..1_000_000_000_000,
            running in any::<u32>(),
            cap in proptest::option::of(1u32..100_000),
        ) {
            let stated = Partial { max_concurrent_jobs: cap, ..Partial::default() };
            let profile = stated.over(&ResourceProfile::default()).unwrap();
            let host = HostSample {
                interval: Duration::from_secs(1),
                cores,
                busy: Duration::from_nanos(busy),
                memory_total: Bytes(total),
                memory_available: Bytes(available),
                ..HostSample::default()
            };
            let limit = plain(&profile, &host, Bytes(0), running).limit;
            prop_assert!(limit >= 1 && limit <= cap.unwrap_or(CAP));
        }
    }
}
