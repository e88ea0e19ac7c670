//! For how long something was held up for want of something: pressure stall information.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Time in which at least one task was held up, since the host started. `None` where the kernel
/// does not keep it (`CONFIG_PSI`, or `psi=1` on the kernel's command line).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stalled {
    /// For want of a CPU.
    pub cpu: Option<Duration>,
    /// For want of memory.
    pub memory: Option<Duration>,
    /// For want of I/O.
    pub io: Option<Duration>,
}

impl Stalled {
    pub(super) fn read() -> Self {
        Self::from(Path::new("/proc/pressure"))
    }

    fn from(folder: &Path) -> Self {
        let total = |name: &str| -> Option<Duration> {
            let text = fs::read_to_string(folder.join(name)).ok()?;
            let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
            let total = some.split_whitespace().find_map(|part| part.strip_prefix("total="))?;
            total.parse().ok().map(Duration::from_micros)
        };
        Self { cpu: total("cpu"), memory: total("memory"), io: total("io") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_and_what_is_not_there_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("cpu"),
            "some avg10=32.28 avg60=30.96 avg300=16.46 total=92385936\nfull avg10=0.00 total=0\n",
        )
        .unwrap();
        let stalled = Stalled::from(folder.path());
        assert_eq!(stalled.cpu, Some(Duration::from_micros(92_385_936)));
        assert_eq!((stalled.memory, stalled.io), (None, None));
    }
}
