//! What a workload counted itself: lines `counted NAME VALUE` of its report, and the same figures
//! in the product's JSON.

use serde_json::Value;

use crate::record::Usage;
use crate::run::Finished;
use crate::sys::Pid;

/// The note by which a workload says that it counted something.
pub fn note(name: &str, value: u64) -> String {
    format!("counted {name} {value}")
}

impl Finished {
    /// What the workload's processes counted under this name, added up.
    pub fn counted(&self, name: &str) -> u64 {
        self.counts(name).map(|(_, value)| value).sum()
    }

    /// The same for one process of the workload.
    pub fn counted_by(&self, pid: Pid, name: &str) -> u64 {
        self.counts(name).filter(|(by, _)| *by == pid).map(|(_, value)| value).sum()
    }

    /// The processes that counted something under this name.
    pub fn counters(&self, name: &str) -> Vec<Pid> {
        self.counts(name).map(|(pid, _)| pid).collect()
    }

    /// Why the workload could not do what it was asked for, if it said so.
    pub fn excuse(&self) -> Option<String> {
        let notes = self.report.iter().filter_map(|line| line.note.as_deref());
        notes.filter_map(|note| note.strip_prefix("cannot ")).map(str::to_owned).next()
    }

    fn counts(&self, name: &str) -> impl Iterator<Item = (Pid, u64)> {
        self.report.iter().filter_map(move |line| {
            let mut words = line.note.as_deref()?.strip_prefix("counted ")?.split(' ');
            let value = (words.next() == Some(name)).then(|| words.next())??;
            Some((line.pid, value.parse().expect("a count")))
        })
    }
}

impl Usage {
    /// A figure that the harness has no field for; `None` when it is null.
    pub fn figure(&self, name: &str) -> Option<u64> {
        match self.rest.get(name) {
            None => panic!("no field {name} in the JSON"),
            Some(Value::Null) => None,
            Some(value) => Some(value.as_u64().unwrap_or_else(|| panic!("{name}: {value}"))),
        }
    }

    /// How much was lost by one cause.
    pub fn lost(&self, cause: &str) -> u64 {
        self.lost.get(cause).and_then(Value::as_u64).unwrap_or(0)
    }
}
