use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn claim(cores: f64, weight: f64, most: f64) -> Claim {
    let most_by = Constraint::Cap;
    Claim {
        weight,
        cores,
        variance: 0.0,
        running: 1.0,
        asleep: 0.0,
        memory: 0.0,
        memory_deviation: 0.0,
        most,
        most_by,
    }
}

fn capacity(cores: f64) -> Capacity {
    Capacity {
        cores,
        host_cores: cores,
        memory: MemoryRule::default(),
        overfill: 1.0,
        used: 0.97,
        most_wait_share: 0.6,
    }
}

fn jobs(claims: &[Claim], cores: f64) -> Vec<f64> {
    let shares = fill(claims, &capacity(cores));
    shares.iter().map(|share| (share.jobs * 100.0).round() / 100.0).collect()
}

#[test]
fn one_connector_fills_the_host() {
    assert_eq!(jobs(&[claim(0.5, 1.0, 1000.0)], 16.0), [32.0]);
    assert_eq!(jobs(&[claim(0.5, 1.0, 8.0)], 16.0), [8.0]);
}

#[test]
fn cores_are_shared_by_weight_not_jobs() {
    assert_eq!(jobs(&[claim(1.0, 1.0, 1e3), claim(0.25, 1.0, 1e3)], 16.0), [8.0, 32.0]);
    assert_eq!(jobs(&[claim(1.0, 3.0, 1e3), claim(1.0, 1.0, 1e3)], 16.0), [12.0, 4.0]);
}

#[test]
fn what_one_leaves_is_for_the_others() {
    assert_eq!(jobs(&[claim(1.0, 1.0, 2.0), claim(1.0, 1.0, 1e3)], 16.0), [2.0, 14.0]);
}

#[test]
fn memory_counts_in_shares_only_as_far_as_it_is_short() {
    let holding = |memory: f64| {
        let large = Claim { memory, ..claim(1.0, 1.0, 1e3) };
        jobs(&[large, claim(1.0, 1.0, 1e3)], 16.0)
    };
    assert_eq!(holding(0.12), [8.0, 8.0], "nobody lacks what it holds");
    let found = holding(0.16);
    assert!((found[0] - 1.0 / 0.16).abs() < 0.1, "as many as fit: {found:?}");
    assert!((found[0] + found[1] - 16.0).abs() < 0.1, "and the rest for who computes: {found:?}");
    let found = holding(1.2);
    assert_eq!(found, [1.0, 15.0], "each has one, however much it holds");
    let unsure = Claim { memory: 0.1, memory_deviation: 0.04, ..claim(1.0, 1.0, 1e3) };
    let found = jobs(&[unsure, claim(1.0, 1.0, 1e3)], 16.0);
    assert!(found[0] < 7.0, "what may be more counts with a margin: {found:?}");
}

#[test]
fn who_has_its_most_lacks_nothing_however_it_is_rounded() {
    let claim = claim(28.056757209817626, 651.4896994169541, 56.55789081561055);
    let shares = fill(&[claim], &capacity(2544.0));
    assert_eq!(shares, [Share { jobs: claim.most, constraint: Constraint::Cap }]);
}

#[test]
fn everybody_has_one_even_where_nothing_fits() {
    let shares = fill(&[claim(8.0, 1.0, 9.0); 4], &capacity(0.0));
    assert!(shares.iter().all(|share| share.jobs == 1.0));
    assert!(shares.iter().all(|share| share.constraint == Constraint::Floor));
}

/// Share of runnable time that is waiting, and use of the CPUs, where `jobs` jobs want one of
/// `cores` CPUs for a part of their time: the exact solution of the closed queueing network
/// (the machine repair problem, which holds for any distribution where CPUs are shared equally).
fn closed_network(jobs: u32, cores: f64, part: f64) -> (f64, f64) {
    let mut logarithms = vec![0.0_f64];
    for runnable in 1..=jobs {
        let come = f64::from(jobs - runnable + 1) * part / (1.0 - part);
        let leave = f64::from(runnable).min(cores);
        logarithms.push(logarithms[logarithms.len() - 1] + (come / leave).ln());
    }
    let most = logarithms.iter().copied().fold(f64::MIN, f64::max);
    let weights: Vec<f64> = logarithms.iter().map(|value| (value - most).exp()).collect();
    let mean = |of: &dyn Fn(f64) -> f64| -> f64 {
        let sum: f64 = weights.iter().enumerate().map(|(n, weight)| of(n as f64) * weight).sum();
        sum / weights.iter().sum::<f64>()
    };
    let runnable = mean(&|n| n);
    (mean(&|n| (n - cores).max(0.0)) / runnable, mean(&|n| n.min(cores)) / cores)
}

#[test]
fn jobs_wait_about_as_long_as_the_trim_will_have_it() {
    for (cores, part) in
        [(1.0, 0.5), (2.0, 0.25), (4.0, 0.3), (16.0, 0.2), (16.0, 0.345), (16.0, 0.7), (64.0, 0.1)]
    {
        let variance = part * (1.0 - part);
        let uneven = Claim { variance, running: part, asleep: 1.0 - part, ..claim(part, 1.0, 1e4) };
        let found = jobs(&[uneven], cores)[0];
        let expected = expected_share(cores, (found * variance).sqrt(), 1.0).max(share_that_uses(
            cores,
            1.0 - part,
            0.97,
        ));
        #[allow(clippy::cast_sign_loss, reason = "at least one")]
        let (share, used) = closed_network(found.round() as u32, cores, part);
        let seen = format!(
            "{cores} cores, {part}: {found} jobs, {share:.3} of {expected:.3}, {used:.3} used"
        );
        println!("{seen}");
        assert!((share - expected).abs() < 0.14, "{seen}");
        assert!(used > if cores < 2.0 { 0.93 } else { 0.97 }, "{seen}");
    }
}

#[test]
fn a_limit_changes_only_when_the_plan_moves_away_from_it() {
    let path = [4.0, 4.4, 4.74, 4.75, 4.3, 4.26, 4.24, 0.0];
    let mut limit = 4;
    let limits = path.map(|jobs| {
        limit = whole(jobs, limit, 100);
        limit
    });
    assert_eq!(limits, [4, 4, 4, 5, 5, 5, 4, 1]);
    assert_eq!(whole(f64::NAN, 7, 100), 7);
    assert_eq!(whole(f64::INFINITY, 7, 100), 100);
}

#[test]
fn a_plan_for_fifty_connectors_is_quick() {
    // Memory is somewhat short, which takes longest.
    let claims: Vec<_> = (1..=50)
        .map(|n| Claim {
            memory: 0.002 * f64::from(51 - n),
            ..claim(0.01 * f64::from(n), 1.0, 500.0)
        })
        .collect();
    let capacity = capacity(16.0);
    let timed = (0..200).map(|_| {
        let start = Instant::now();
        assert_eq!(fill(&claims, &capacity).len(), 50);
        start.elapsed()
    });
    let best = timed.min().unwrap();
    println!("a plan for 50 connectors: {best:?}");
    assert!(best < Duration::from_micros(100), "{best:?}");
}

proptest! {
    #[test]
    fn shares_fit_are_bounded_and_equal_by_weight(
        claims in proptest::collection::vec(
            (0.001f64..64.0, 0.001f64..1e3, 1f64..4096.0, 0f64..=1.0, 0f64..2.0),
            0..60,
        ),
        cores in 0.0f64..1e4,
    ) {
        let claims: Vec<_> = claims
            .into_iter()
            .map(|(cores, weight, most, running, variance)| Claim {
                running,
                asleep: 1.0 - running,
                variance: variance * cores,
                ..claim(cores, weight, most)
            })
            .collect();
        let capacity = capacity(cores);
        let shares = fill(&claims, &capacity);
        let both = || claims.iter().zip(&shares);
        let wanted = |jobs: &[f64]| -> f64 {
            let each = || claims.iter().zip(jobs);
            let variance: f64 = each().map(|(claim, jobs)| claim.variance * jobs).sum();
            let busy: f64 = each().map(|(claim, jobs)| claim.cores * jobs).sum();
            let asleep: f64 =
                each().map(|(claim, jobs)| claim.asleep * claim.cores * jobs).sum();
            let delay = capacity.delay(variance.sqrt(), asleep / busy);
            each().map(|(claim, jobs)| claim.contended(delay) * jobs).sum()
        };
        let used = wanted(&shares.iter().map(|share| share.jobs).collect::<Vec<_>>());
        let floor = wanted(&vec![1.0; claims.len()]);
        prop_assert!(used <= cores.max(floor) * 1.001 + 1e-6, "{} of {}", used, cores);
        let more = wanted(&shares.iter().map(|share| share.jobs * 1.01).collect::<Vec<_>>());
        prop_assert!(more >= used, "more jobs want more: {} and {}", used, more);
        let rest = shares.iter().any(|share| share.constraint == Constraint::Cpu);
        prop_assert!(!rest || more >= cores * 0.999, "{} of {} filled", used, cores);
        for (claim, share) in both() {
            prop_assert!(share.jobs >= 1.0 && share.jobs <= claim.most);
        }
        let free: Vec<_> = both()
            .filter(|(_, share)| share.constraint == Constraint::Cpu)
            .map(|(claim, share)| share.jobs * claim.cores / claim.weight)
            .collect();
        for pair in free.windows(2) {
            prop_assert!((pair[0] / pair[1] - 1.0).abs() < 0.001, "{:?}", free);
        }
    }
}
