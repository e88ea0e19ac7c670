//! Whether it adds up: what was measured, plus what nothing measured caused, is what the host itself
//! reports for the same time.
//!
//! The difference is published, not smoothed. Below 0 it means that the host's own total is late or
//! coarse; two totals of the host that contradict each other are both shown.

use serde::{Deserialize, Serialize};

/// One figure of the host, split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// What the session measured.
    pub managed: u64,
    /// The rest: other work, and the kernel's own. Below 0 if the host's total is late or coarse.
    pub unattributed: i64,
    /// What the host reports.
    pub host: u64,
}

impl Balance {
    /// Splits the host's growth from `before` to `after`.
    #[must_use]
    pub fn of(managed: u64, before: u64, after: u64) -> Self {
        let host = after.saturating_sub(before);
        let unattributed = i128::from(host) - i128::from(managed);
        let bound = |value: i128| value.clamp(i64::MIN.into(), i64::MAX.into());
        Self { managed, unattributed: bound(unattributed) as i64, host }
    }
}

/// CPU time of the host, by one of its own accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuAccount {
    /// Where the host says so.
    pub source: String,
    /// How fine that is: the smallest difference that it can show.
    pub resolution_ns: u64,
    /// Nanoseconds.
    pub ns: Balance,
}

/// One leaf device of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAccount {
    /// The kernel's name for it.
    pub name: String,
    /// Bytes read.
    pub read_bytes: Balance,
    /// Bytes written.
    pub write_bytes: Balance,
    /// Read requests.
    pub read_ops: Balance,
    /// Write requests.
    pub write_ops: Balance,
}

/// The host's own totals over the time of a session, and what of them the session explains.
///
/// There is no account of the network: the host counts packets with their headers, at interfaces and
/// in both directions for what stays on the host, and has no total of payload to compare with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conservation {
    /// By each account of CPU time that the host keeps, finest first.
    pub cpu: Vec<CpuAccount>,
    /// Leaf devices that did something.
    pub devices: Vec<DeviceAccount>,
    /// What the host's own accounts say against each other, one line each.
    pub disagreements: Vec<String>,
}

/// Two accounts of CPU time may differ by this share, besides their resolution.
const TOLERATED_SHARE: u64 = 20;

impl Conservation {
    /// Notes where the host's accounts contradict each other or what was measured.
    #[must_use]
    pub fn checked(mut self) -> Self {
        let mut lines = Vec::new();
        for pair in self.cpu.windows(2) {
            let (fine, coarse) = (&pair[0], &pair[1]);
            let differ = fine.ns.host.abs_diff(coarse.ns.host);
            let tolerated = fine.ns.host.max(coarse.ns.host) / TOLERATED_SHARE;
            if differ > tolerated + fine.resolution_ns + coarse.resolution_ns {
                lines.push(format!(
                    "CPU time: {} says {} ns, {} says {} ns",
                    fine.source, fine.ns.host, coarse.source, coarse.ns.host
                ));
            }
        }
        for account in &self.cpu {
            if below_zero(account.ns) > account.resolution_ns {
                lines.push(format!("CPU time: {} counts less than was measured", account.source));
            }
        }
        for device in &self.devices {
            if below_zero(device.read_bytes) > 0 || below_zero(device.write_bytes) > 0 {
                lines.push(format!("{}: the host counts less than was measured", device.name));
            }
        }
        self.disagreements = lines;
        self
    }
}

fn below_zero(balance: Balance) -> u64 {
    balance.unattributed.min(0).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(source: &str, managed: u64, host: u64) -> CpuAccount {
        CpuAccount {
            source: source.to_owned(),
            resolution_ns: 10_000_000,
            ns: Balance::of(managed, 1_000, 1_000 + host),
        }
    }

    #[test]
    fn managed_and_unattributed_make_the_host() {
        let balance = Balance::of(30, 100, 150);
        assert_eq!((balance.unattributed, balance.host), (20, 50));
        assert_eq!(Balance::of(30, 100, 110).unattributed, -20);
        assert_eq!(Balance::of(u64::MAX, 0, 0).unattributed, i64::MIN);
    }

    #[test]
    fn accounts_that_agree_are_not_reported() {
        let cpu = vec![
            account("fine", 500_000_000, 1_000_000_000),
            account("coarse", 500_000_000, 1_040_000_000),
        ];
        let conservation = Conservation { cpu, ..Conservation::default() }.checked();
        assert_eq!(conservation.disagreements, [""; 0]);
    }

    #[test]
    fn a_host_that_contradicts_itself_is_reported() {
        let cpu = vec![
            account("fine", 500_000_000, 1_000_000_000),
            account("coarse", 500_000_000, 400_000_000),
        ];
        let found = Conservation { cpu, ..Conservation::default() }.checked().disagreements;
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("fine") && found[0].contains("coarse"));
        assert!(found[1].contains("coarse counts less"));
    }
}
