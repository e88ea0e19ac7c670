//! Cores: how much of each second a runnable thread runs, and what a second on a CPU is worth.

use crate::simulate::plant;

/// The cores of a host.
#[derive(Clone, Debug)]
pub struct Cpu {
    cores: f64,
    threads_per_core: f64,
    smt_gain: f64,
    contention: f64,
    switching: f64,
    quota: f64,
}

/// What a runnable thread gets a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Seconds on a CPU.
    pub run: f64,
    /// Seconds of waiting because the quota was used up.
    pub throttled: f64,
    /// Seconds of work, as an idle host would do it.
    pub work: f64,
    /// CPUs in use, ours and others'.
    pub busy: f64,
    /// CPUs that others use.
    pub external: f64,
}

impl Cpu {
    /// The cores of `host`.
    #[must_use]
    pub fn new(host: &plant::Host) -> Self {
        Self {
            cores: host.cores.float(),
            threads_per_core: host.threads_per_core.float(),
            smt_gain: host.smt_gain.get(),
            contention: host.contention.get(),
            switching: host.switching.get(),
            quota: host.quota_cores.map_or(f64::INFINITY, plant::Positive::get),
        }
    }

    /// CPUs that may be used: online, and as many as the quota allows.
    #[must_use]
    pub fn usable(&self) -> f64 {
        self.logical().min(self.quota)
    }

    /// Physical cores.
    #[must_use]
    pub const fn physical(&self) -> f64 {
        self.cores
    }

    /// CPUs as the kernel counts them.
    #[must_use]
    pub fn logical(&self) -> f64 {
        self.cores * self.threads_per_core
    }

    /// What each of `own` runnable threads gets while others have `external` that share fairly, and
    /// `first` that come first.
    #[must_use]
    pub fn rates(&self, own: f64, external: f64, first: f64) -> Rates {
        let (logical, all) = (self.logical() - first.min(self.logical()), self.logical());
        let runnable = own + external;
        if runnable <= 0.0 {
            let used = all - logical;
            return Rates { run: 1.0, work: 1.0, busy: used, external: used, throttled: 0.0 };
        }
        let fair = (logical / runnable).min(1.0);
        let run = if own > 0.0 { fair.min(self.quota / own) } else { fair };
        // What a quota keeps from our threads, others may have.
        let external =
            external * (logical - own * run).max(0.0).min(external) / external.max(1e-12);
        let external = external + (all - logical);
        let busy = (own * run + external).max(f64::MIN_POSITIVE);
        // Second threads of cores that are busy already add only the gain.
        let further = (busy - self.cores).max(0.0);
        let siblings = (self.threads_per_core - 1.0).max(1.0);
        let per_cpu = (busy.min(self.cores) + further * self.smt_gain / siblings) / busy;
        // Gunther's universal scalability law without its second, quadratic term.
        let contended = 1.0 + self.contention * (busy - 1.0).max(0.0);
        let switched = 1.0 + self.switching * ((runnable + first) / all - 1.0).max(0.0);
        let work = run * per_cpu / (contended * switched);
        Rates { run, throttled: fair - run, work, busy, external }
    }
}

/// What one runnable thread that was there from the beginning would have seen by now, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clocks {
    /// On a CPU.
    pub run: f64,
    /// In the run queue.
    pub wait: f64,
    /// Of that, because the quota was used up.
    pub wait_throttled: f64,
    /// Of that, for each other thread that held a CPU, one of ours or not.
    pub wait_for_each: f64,
    /// Of that, while something external held the CPU.
    pub wait_external: f64,
    /// CPUs in use, ours and others'.
    pub busy: f64,
    /// CPUs that others use.
    pub external: f64,
}

impl Clocks {
    /// `seconds` pass with `rates` for `own` threads beside `external`.
    pub fn advance(&mut self, seconds: f64, rates: Rates, own: f64, external: f64) {
        self.busy += rates.busy * seconds;
        self.external += rates.external * seconds;
        if own <= 0.0 {
            return;
        }
        let wait = (1.0 - rates.run) * seconds;
        // Who waits is not among those that it waits for.
        let others = (own + external - 1.0).max(f64::MIN_POSITIVE);
        self.run += rates.run * seconds;
        self.wait += wait;
        self.wait_throttled += rates.throttled * seconds;
        let contended = wait - rates.throttled * seconds;
        if contended > 0.0 {
            self.wait_for_each += contended / others;
            self.wait_external += contended * (external / others).min(1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(text: &str) -> Cpu {
        let plant = format!(
            "name = 'p'\n[host]\n{text}\n[[connector]]\nname = 'a'\njob = {{ cpu_seconds = 1 }}"
        );
        Cpu::new(&plant::read("p.toml", &plant).unwrap().host)
    }

    #[test]
    fn threads_run_undisturbed_until_there_are_more_than_cpus() {
        let cpu = cpu("cores = 4");
        assert_eq!(cpu.rates(4.0, 0.0, 0.0).work, 1.0);
        let shared = cpu.rates(6.0, 2.0, 0.0);
        assert_eq!((shared.run, shared.work, shared.busy, shared.external), (0.5, 0.5, 4.0, 1.0));
    }

    #[test]
    fn who_comes_first_leaves_the_rest() {
        let rates = cpu("cores = 4").rates(2.0, 0.0, 3.0);
        assert_eq!((rates.run, rates.busy, rates.external), (0.5, 4.0, 3.0));
        let alone = cpu("cores = 4").rates(0.0, 0.0, 3.0);
        assert_eq!((alone.busy, alone.external), (3.0, 3.0));
    }

    #[test]
    fn a_quota_throttles_what_would_run() {
        let rates = cpu("cores = 4\nquota_cores = 1").rates(2.0, 0.0, 0.0);
        assert_eq!((rates.run, rates.throttled, rates.busy), (0.5, 0.5, 1.0));
    }

    #[test]
    fn the_second_thread_of_a_core_adds_the_gain_only() {
        let cpu = cpu("cores = 4\nthreads_per_core = 2\nsmt_gain = 0.25");
        assert_eq!(cpu.rates(4.0, 0.0, 0.0).work, 1.0);
        let all = cpu.rates(8.0, 0.0, 0.0);
        assert_eq!((all.run, all.busy), (1.0, 8.0));
        assert!((8.0 * all.work - 5.0).abs() < 1e-12);
    }

    #[test]
    fn contention_is_the_universal_scalability_law() {
        let cpu = cpu("cores = 8\ncontention = 0.05");
        let throughput = 8.0 * cpu.rates(8.0, 0.0, 0.0).work;
        assert!((throughput - 8.0 / (1.0 + 0.05 * 7.0)).abs() < 1e-12);
    }

    #[test]
    fn a_wait_is_for_those_that_hold_the_cpu() {
        let cpu = cpu("cores = 1");
        let mut clocks = Clocks::default();
        let (own, external) = (3.0, 2.0);
        clocks.advance(10.0, cpu.rates(own, external, 0.0), own, external);
        assert!((clocks.run + clocks.wait - 10.0).abs() < 1e-12);
        // Four others: two of them ours.
        assert!((clocks.wait_external - clocks.wait / 2.0).abs() < 1e-12);
        assert!((2.0 * clocks.wait_for_each - clocks.wait / 2.0).abs() < 1e-12);
    }
}
