//! CPU time from `/proc/stat`: whole ticks, which the kernel adds up without loss.

use std::io;
use std::time::Duration;

/// What a CPU, or all of them, did since the host started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// Ran something: user, nice, system, interrupts.
    pub busy: Duration,
    /// Ran nothing, waiting for I/O included.
    pub idle: Duration,
    /// The hypervisor ran somebody else.
    pub stolen: Duration,
}

impl CpuTimes {
    /// Percent of the time since `earlier` in which it ran something or could not; `None` if there
    /// was no time.
    #[must_use]
    pub fn percent_since(&self, earlier: &Self) -> Option<f64> {
        let since = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64();
        let taken = since(self.busy, earlier.busy) + since(self.stolen, earlier.stolen);
        let all = taken + since(self.idle, earlier.idle);
        (all > 0.0).then(|| 100.0 * taken / all)
    }
}

/// All CPUs together, and each that is online with its number.
pub(super) fn read() -> io::Result<(CpuTimes, Vec<(u32, CpuTimes)>)> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let tick = Duration::from_secs(1) / ticks_per_second();
    parse(&text, tick).ok_or_else(|| io::Error::other("/proc/stat has no line of all CPUs"))
}

fn ticks_per_second() -> u32 {
    u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100).max(1)
}

fn parse(text: &str, tick: Duration) -> Option<(CpuTimes, Vec<(u32, CpuTimes)>)> {
    let mut all = None;
    let mut each = Vec::new();
    for line in text.lines().take_while(|line| line.starts_with("cpu")) {
        let (name, figures) = line.split_once(' ')?;
        let times = times(figures, tick);
        match name.strip_prefix("cpu")? {
            "" => all = Some(times),
            number => each.push((number.parse().ok()?, times)),
        }
    }
    Some((all?, each))
}

/// user, nice, system, idle, iowait, irq, softirq, steal; guests are in user and nice already.
fn times(figures: &str, tick: Duration) -> CpuTimes {
    let mut ticks = figures.split_whitespace().map(|ticks| ticks.parse::<u64>().unwrap_or(0));
    let mut next = || time(ticks.next().unwrap_or(0), tick);
    let ran = next() + next() + next();
    let idle = next() + next();
    let interrupts = next() + next();
    CpuTimes { busy: ran + interrupts, idle, stolen: next() }
}

fn time(ticks: u64, tick: Duration) -> Duration {
    let tick_ns = u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(ticks.saturating_mul(tick_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_what_the_kernel_counted() {
        let text = "cpu  10 1 5 100 20 2 3 7 4 0\ncpu0 6 0 3 50 10 1 2 7 4 0\n\
                    cpu3 4 1 2 50 10 1 1 0 0 0\nintr 5 5\n";
        let ten_ms = |ticks: u32| Duration::from_millis(10) * ticks;
        let (all, each) = parse(text, Duration::from_millis(10)).unwrap();
        let expected = CpuTimes { busy: ten_ms(21), idle: ten_ms(120), stolen: ten_ms(7) };
        assert_eq!(all, expected);
        assert_eq!(each.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 3]);
        let percent = all.percent_since(&CpuTimes::default()).unwrap();
        assert!((percent - 100.0 * 28.0 / 148.0).abs() < 1e-9, "{percent}");
        assert_eq!(all.percent_since(&all), None);
        assert_eq!(parse("intr 5\n", Duration::from_millis(10)), None);
    }
}
