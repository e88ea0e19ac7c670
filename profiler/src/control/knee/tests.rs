//! A connector on a resource of its own: what the search for its knee finds.

use std::time::Duration;

use super::*;
use crate::model::{JobSample, RunQueue};

/// What each of so many jobs at the resource gets, alone having 1.
type Speed = fn(f64) -> f64;

/// A server with twenty slots that collapses beyond.
fn server(present: f64) -> f64 {
    (20.0 / present).min(1.0) / (1.0 + 0.1 * (present - 20.0).max(0.0))
}

fn sample(cpu: f64, block_wait: f64, device_bytes: u64, net_bytes: u64) -> JobSample {
    JobSample {
        interval: Duration::from_secs(1),
        cpu: Duration::from_secs_f64(cpu),
        life: Duration::from_secs(1),
        run_queue: Some(RunQueue::default()),
        block_wait: Some(Duration::from_secs_f64(block_wait)),
        device_bytes: Some(device_bytes),
        net_bytes: Some(net_bytes),
        ..JobSample::default()
    }
}

/// A job that computes for a tenth of its time alone and moves a mebibyte a second for the rest.
fn transfer(speed: f64, of: Measure) -> JobSample {
    // What is slowed down takes longer, and the share of the rest falls.
    let cpu = 0.1 / (0.1 + 0.9 / speed);
    #[allow(clippy::cast_sign_loss, reason = "both are positive")]
    let bytes = ((1.0 - cpu) * speed * 1_048_576.0) as u64;
    match of {
        Measure::Disk => sample(cpu, 1.0 - cpu, bytes, 0),
        _ => sample(cpu, 0.0, 0, bytes),
    }
}

/// Limits of `seconds` seconds, from `first` on, if the plan for CPUs allows as many as `allowed`
/// says for what a job does.
fn run(seconds: u64, first: u32, job: impl Fn(u32) -> JobSample, cores: Option<f64>) -> Vec<u32> {
    let (settings, mut knee) = (KneeSettings::default(), Knee::default());
    let mut limit = first;
    let limits = (0..seconds).map(|second| {
        let sample = job(limit);
        let mut work = Work::default();
        (0..limit).for_each(|_| work.add(&sample));
        let plan = cores.map_or(500.0, |cores| cores / sample.cpu.as_secs_f64()).min(500.0);
        let seen = Seen {
            now: Moment(second * 1_000_000_000),
            seconds: 1.0,
            wanted: true,
            in_use: limit,
            limit,
            used: (work.cpu / cores.unwrap_or(16.0)).min(1.0),
            allowed: plan.min(knee.jobs().unwrap_or(f64::MAX)),
            first: f64::from(first),
            job_seconds: Some(4.0),
        };
        knee.update(&settings, &work, work.idle(), &seen);
        #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "up to 500")]
        let next = plan.min(knee.jobs().unwrap_or(f64::MAX)) as u32;
        limit = next.max(1);
        limit
    });
    limits.collect()
}

fn on(speed: Speed, of: Measure, first: u32) -> Vec<u32> {
    run(600, first, |jobs| transfer(speed(0.9 * f64::from(jobs)), of), None)
}

#[test]
fn a_knee_is_found_from_below_and_kept() {
    for of in [Measure::Disk, Measure::Network] {
        let limits = on(server, of, 4);
        let most = limits.iter().max().copied().unwrap_or(0);
        assert!(most <= 36, "{of:?}: overshoots to {most}");
        for (second, limit) in limits.iter().enumerate().skip(30) {
            assert!((16..=28).contains(limit), "{of:?}: {limit} after {second} s");
        }
    }
}

#[test]
fn who_begins_beyond_the_knee_comes_back() {
    let limits =
        on(|present| (2.0 / present).min(1.0) / (1.0 + (present - 2.0).max(0.0)), Measure::Disk, 8);
    let late = &limits[120..];
    let mean = late.iter().map(|limit| f64::from(*limit)).sum::<f64>() / 480.0;
    assert!((1.5..3.5).contains(&mean), "{mean}: {limits:?}");
}

#[test]
fn trials_become_rare_where_they_bring_nothing() {
    let limits = on(server, Measure::Network, 4);
    let changes = limits[300..].windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes <= 12, "{changes} changes in five minutes");
}

#[test]
fn between_two_limits_that_are_as_good_trials_become_rare_too() {
    // Beyond five at a time each more adds a fifth of what one does alone, by turns more and less.
    for period in [11, 13, 20] {
        let second = std::cell::Cell::new(0_u64);
        let job = |jobs: u32| {
            second.set(second.get() + 1);
            let luck = if (second.get() / period).is_multiple_of(2) { 0.3 } else { -0.3 };
            let present = 0.9 * f64::from(jobs);
            let rate = present.min(5.0) + (present - 5.0).max(0.0) * (0.2 + luck);
            transfer(rate / present, Measure::Network)
        };
        let limits = run(600, 4, job, None);
        let changes = limits[100..].windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes <= 20, "every {period} s: {changes} changes: {limits:?}");
    }
}

#[test]
fn jobs_that_only_wait_have_no_knee() {
    // They compute for a fifth of their time and sleep for the rest.
    let limits = run(60, 4, |_| sample(0.2, 0.0, 0, 0), Some(16.0));
    assert!(limits.iter().skip(1).all(|limit| *limit == 80), "{limits:?}");
}

#[test]
fn jobs_that_wait_for_each_other_have_one() {
    // One lock: however many want it, they use a core and a half together.
    let job = |jobs: u32| sample((1.5 / f64::from(jobs)).min(0.5), 0.0, 0, 0);
    let limits = run(600, 4, job, Some(16.0));
    let last = limits.last().copied().unwrap_or(0);
    assert!(last <= 100, "the plan alone would come to 500: {limits:?}");
}

/// A disk that gives ever more to more jobs, though each of them less, up to twenty-four.
fn parallel(present: f64) -> f64 {
    present.min(24.0).powf(0.35) / present
}

#[test]
fn a_disk_that_gives_more_by_and_by_is_used() {
    let limits = on(parallel, Measure::Disk, 4);
    assert!(limits[120..].iter().all(|limit| *limit >= 20), "{limits:?}");
}

#[test]
fn a_slow_second_ends_no_climb() {
    // All jobs are slow in every seventh second, by a quarter.
    let second = std::cell::Cell::new(0_u64);
    let job = |jobs: u32| {
        second.set(second.get() + 1);
        let part = if second.get().is_multiple_of(7) { 0.75 } else { 1.0 };
        transfer(part * parallel(0.9 * f64::from(jobs)), Measure::Disk)
    };
    let limits = run(600, 4, job, None);
    let late = &limits[300..];
    let mean = late.iter().map(|limit| f64::from(*limit)).sum::<f64>() / 300.0;
    assert!(mean >= 16.0, "{mean}: {limits:?}");
}

#[test]
fn a_server_that_is_full_is_not_driven_further_by_chance() {
    // It answers four at a time, and all of them are up to a tenth faster or slower in each second.
    let second = std::cell::Cell::new(0_u64);
    let job = |jobs: u32| {
        second.set(second.get() + 1);
        let luck = 0.9 + 0.2 * ((second.get() * 7_919) % 101) as f64 / 100.0;
        let present = 0.9 * f64::from(jobs);
        transfer(luck * (4.0 / present).min(1.0), Measure::Network)
    };
    let limits = run(600, 4, job, None);
    let late = &limits[60..];
    let mean = late.iter().map(|limit| f64::from(*limit)).sum::<f64>() / 540.0;
    assert!(mean <= 9.0, "{mean}: {limits:?}");
}
