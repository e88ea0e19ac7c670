//! The simulator against what is known without it.

use super::controller::{Agent, Controller, Observation, Ruled, set_limits};
use super::engine::run;
use super::figures::Figures;
use super::oracle::{Oracle, Rule};
use super::plant::{Plant, read};
use crate::lease::Ledger;

fn plant(host: &str, connector: &str) -> Plant {
    let text = format!("name = 'p'\n{host}\n[[connector]]\nname = 'a'\n{connector}\n");
    read("p.toml", &text).unwrap()
}

fn with_limit(plant: &Plant, seed: u64, limit: u32) -> Figures {
    run(plant, seed, &|_, next| {
        let fixed = super::controller::Fixed::new(vec![limit; plant.connectors.len()]);
        Box::new(Ruled::new(plant, next, fixed))
    })
}

fn rate(figures: &Figures) -> f64 {
    let seconds: f64 = figures.phases.iter().map(|phase| phase.seconds).sum();
    figures.work(0) / seconds
}

/// Watches that what it is told adds up.
struct Auditor {
    limit: u32,
    looks: u32,
}

impl Controller for Auditor {
    fn begin(&mut self, ledger: &mut Ledger) {
        set_limits(ledger, &[self.limit]);
    }

    fn tick(&mut self, seen: &Observation<'_>, _: &mut Ledger) {
        self.looks += 1;
        let mut cpu = 0.0;
        for job in seen.jobs {
            let queue = job.run_queue.unwrap();
            let block = job.block_wait.unwrap().as_secs_f64();
            let counted = job.cpu.as_secs_f64() + queue.total.as_secs_f64() + block;
            let life = job.life.as_secs_f64();
            assert!(counted <= life + 1e-7, "{counted} s of {life} s: {job:?}");
            let parts = queue.managed + queue.own + queue.throttled;
            assert!(parts.as_secs_f64() <= queue.total.as_secs_f64() + 1e-7, "{job:?}");
            cpu += job.cpu.as_secs_f64();
        }
        // Nobody else is there: what the host was busy with is what the jobs used.
        let busy = seen.host.busy.as_secs_f64();
        assert!((busy - cpu).abs() < 1e-6, "host {busy} s, jobs {cpu} s");
    }
}

#[test]
fn what_is_reported_of_jobs_adds_up_to_their_lives_and_to_the_host() {
    let disk = "[[disk]]\nname = 'd'\nmb_per_second = 200\nstream_mb_per_second = 50";
    let plant = plant(
        &format!("duration_seconds = 60\n[host]\ncores = 4\n{disk}"),
        "[connector.job]\nthreads = 2\ncpu_seconds = { exponential = 2 }\ndisk = 'd'\n\
         disk_mb = { exponential = 40 }\nwait_seconds = { exponential = 0.5 }",
    );
    let audited = |_, next| -> Box<dyn Agent> {
        Box::new(Ruled::new(&plant, next, Auditor { limit: 9, looks: 0 }))
    };
    let figures = run(&plant, 1, &audited);
    assert!(figures.phases[0].jobs[0] > 50);
}

#[test]
fn the_same_seed_gives_the_same_figures_and_another_one_others() {
    let plant = plant(
        "duration_seconds = 120\n[host]\ncores = 4",
        "[connector.job]\ncpu_seconds = { exponential = 1 }\nwait_seconds = { exponential = 1 }",
    );
    let run = |seed| format!("{:?}", with_limit(&plant, seed, 6));
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn a_host_that_only_computes_is_best_used_with_one_job_a_core() {
    let plant = plant(
        "duration_seconds = 200\n[host]\ncores = 12\nswitching = 0.1",
        "[connector.job]\ncpu_seconds = { lognormal = { mean = 3, cv = 0.5 } }",
    );
    for (limit, expected) in [(3, 3.0), (12, 12.0), (24, 12.0 / 1.1)] {
        let rate = rate(&with_limit(&plant, 1, limit));
        assert!((rate - expected).abs() < 1e-6, "{limit}: {rate}, not {expected}");
    }
    let oracle = Oracle::search(&plant, &[1], Rule::Free);
    assert_eq!((oracle.limits, oracle.least), (vec![vec![12]], vec![vec![12]]));
}

#[test]
fn a_disk_that_thrashes_is_best_used_at_its_number_of_streams() {
    let disk = "[[disk]]\nname = 'd'\nmb_per_second = 600\nstream_mb_per_second = 100\n\
                streams = 6\nthrash = 0.2";
    let plant = plant(
        &format!("duration_seconds = 200\n[host]\ncores = 4\n{disk}"),
        "[connector.job]\ndisk = 'd'\ndisk_mb = { lognormal = { mean = 200, cv = 0.3 } }",
    );
    let expected = [(3, 3.0), (6, 6.0), (11, 3.0)];
    for (limit, expected) in expected {
        let rate = rate(&with_limit(&plant, 1, limit));
        assert!((rate - expected).abs() < 1e-6, "{limit}: {rate}, not {expected}");
    }
    assert_eq!(Oracle::search(&plant, &[1], Rule::Free).limits, [[6]]);
}

/// The machine repair model, M/M/c//N: N jobs that compute for `cpu` and wait for `wait`, both
/// exponential, on c cores. Its throughput in jobs a second.
fn repair_model(jobs: u32, cores: u32, cpu: f64, wait: f64) -> f64 {
    let mut weights = vec![1.0];
    for computing in 1..=jobs {
        let rate_in = f64::from(jobs - computing + 1) / wait;
        let rate_out = f64::from(computing.min(cores)) / cpu;
        weights.push(weights[computing as usize - 1] * rate_in / rate_out);
    }
    let sum: f64 = weights.iter().sum();
    let busy = weights.iter().enumerate().map(|(n, weight)| n.min(cores as usize) as f64 * weight);
    busy.sum::<f64>() / sum / cpu
}

#[test]
fn jobs_that_compute_and_wait_are_the_machine_repair_model() {
    let plant = plant(
        "duration_seconds = 20000\n[host]\ncores = 4",
        "[connector.job]\nrounds = 1\ncpu_seconds = { exponential = 1 }\n\
         wait_seconds = { exponential = 2 }",
    );
    for jobs in [4, 9, 14] {
        let figures = with_limit(&plant, 3, jobs);
        let throughput = f64::from(figures.phases[0].jobs[0]) / 20_000.0;
        let expected = repair_model(jobs, 4, 1.0, 2.0);
        assert!((throughput / expected - 1.0).abs() < 0.02, "{jobs}: {throughput}, {expected}");
    }
}

/// Erlang's formula for the part of arrivals that wait, at a load of `offered` on `servers`.
fn erlang_c(servers: u32, offered: f64) -> f64 {
    let mut blocked = 1.0;
    for server in 1..=servers {
        blocked = offered * blocked / (f64::from(server) + offered * blocked);
    }
    blocked / (1.0 - offered / f64::from(servers) * (1.0 - blocked))
}

#[test]
fn open_arrivals_wait_as_in_the_queue_of_erlang() {
    let (cores, per_second) = (4, 3.2);
    let plant = plant(
        "duration_seconds = 40000\n[host]\ncores = 4",
        "[connector.job]\nrounds = 1\ncpu_seconds = { exponential = 1 }\n\
         [connector.arrival]\njobs_per_second = 3.2",
    );
    let figures = with_limit(&plant, 1, cores);
    let waits = &figures.waits[0];
    let mean = waits.iter().map(|wait| f64::from(*wait)).sum::<f64>() / waits.len() as f64;
    let expected = erlang_c(cores, per_second) / (f64::from(cores) - per_second);
    assert!((mean / expected - 1.0).abs() < 0.1, "waited {mean} s, not {expected} s");
    let waited = waits.iter().filter(|wait| **wait > 1e-9).count() as f64 / waits.len() as f64;
    assert!((waited / erlang_c(cores, per_second) - 1.0).abs() < 0.05, "{waited} waited");
}

#[test]
fn a_coarse_search_finds_what_trying_all_limits_finds() {
    let plant = plant(
        "duration_seconds = 300\n[host]\ncores = 8\nswitching = 0.2",
        "[connector.job]\ncpu_seconds = { lognormal = { mean = 1, cv = 0.4 } }\n\
         wait_seconds = { lognormal = { mean = 3, cv = 0.4 } }\n[connector.arrival]\nworkers = 80",
    );
    let best = (1..=80).map(|limit| rate(&with_limit(&plant, 1, limit))).fold(0.0, f64::max);
    let found = rate(&Oracle::search(&plant, &[1], Rule::Free).run(&plant, 1));
    assert!(found > 0.998 * best, "{found} of {best}");
}

#[test]
fn the_oracle_of_memory_never_overcommits_and_one_more_job_would() {
    let plant = plant(
        "duration_seconds = 300\n[host]\ncores = 16\nmemory_mb = 4596\nreserve_mb = 500",
        "[connector.job]\nwait_seconds = { lognormal = { mean = 5, cv = 0.2 } }\nmemory_mb = 512",
    );
    let oracle = Oracle::search(&plant, &[1, 2], Rule::NoOvercommit);
    assert_eq!(oracle.limits, [[8]]);
    assert_eq!(with_limit(&plant, 1, 8).overcommits(), 0);
    assert!(with_limit(&plant, 1, 9).overcommits() > 0);
    assert!(with_limit(&plant, 1, 12).kills > 0);
}

#[test]
fn what_crashes_is_done_again_and_counts_once() {
    let job = "[connector.job]\nwait_seconds = 10\nrounds = 1\n[connector.arrival]\nworkers = 1\n";
    let crash = "[connector.crash]\nat_seconds = [5]";
    let plant = plant("duration_seconds = 100\n[host]\ncores = 1", &format!("{job}{crash}"));
    let figures = with_limit(&plant, 1, 1);
    assert_eq!((figures.crashes, figures.phases[0].jobs[0]), (1, 9));
    assert!((figures.work(0) - 95.0).abs() < 1e-6, "{}", figures.work(0));
}

#[test]
fn jobs_run_on_while_the_agent_is_away() {
    let job = "[connector.profile]\npreferred_concurrency = 2\n[connector.job]\nwait_seconds = 4";
    let agent = "[agent]\nrestarts_at_seconds = [50]\ndown_seconds = 20";
    let host = format!("duration_seconds = 100\n{agent}\n[host]\ncores = 1");
    let figures = with_limit(&plant(&host, job), 1, 8);
    let running = |second: usize| figures.in_use[second * 4][0];
    assert_eq!([running(49), running(65), running(80)], [8, 2, 8]);
}
