//! The product's JSON, as a reader of its documentation would type it: independent of the
//! product's own types, so that a renamed or lost field is noticed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::sys::Pid;
use crate::truth::Figures;

/// What `profiler run --json` and `profiler attach --json` write.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the documented format")]
pub struct Session {
    pub schema: u64,
    pub command: Vec<String>,
    pub usage: Usage,
    pub processes: Vec<Process>,
    pub threads: Vec<Thread>,
    pub host: BTreeMap<String, Value>,
}

/// One process of the session.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the documented format")]
pub struct Process {
    pub pid: Pid,
    pub parent: Option<Pid>,
    pub comm: String,
    pub usage: Usage,
}

/// One thread of the session.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the documented format")]
pub struct Thread {
    pub pid: Pid,
    pub tid: Pid,
    pub comm: String,
    pub usage: Usage,
}

/// A usage record, as far as the tests look at it.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the usage record")]
pub struct Usage {
    #[serde(flatten)]
    pub figures: Figures,
    pub wall_ns: Option<u64>,
    pub run_queue_throttled_ns: Option<u64>,
    pub run_queue_managed_ns: Option<u64>,
    pub run_queue_self_ns: Option<u64>,
    pub run_queue_external_ns: Option<u64>,
    pub block_wait_ns: Option<u64>,
    pub other_wait_ns: Option<u64>,
    pub tasks: Option<u64>,
    pub tasks_peak: Option<u64>,
    pub processes: Option<u64>,
    pub exit_status: Option<i64>,
    pub source: Option<String>,
    #[serde(default)]
    pub lost: Value,
    /// Everything else, so that a test can ask whether a field is there at all.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

impl Session {
    /// Reads a file; `None` when it is not there or empty.
    pub fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok().filter(|text| !text.is_empty())?;
        match serde_json::from_str(&text) {
            Ok(session) => Some(session),
            Err(error) => panic!("{}: {error}:\n{text:.2000}", path.display()),
        }
    }

    /// The figures of a process: the sum over its threads.
    pub fn sum_of_threads(&self, pid: Pid) -> Figures {
        let mut sum = Figures::default();
        for thread in self.threads.iter().filter(|thread| thread.pid == pid) {
            sum.add(&thread.usage.figures);
        }
        sum
    }
}

impl Usage {
    /// Whether no figure lost anything: the field is absent, null, or an empty list or map. A block
    /// request whose completion nobody saw is missing from the latencies alone, and any command that
    /// reads a file may have one, on a host that keeps programs away from some process.
    pub fn is_complete(&self) -> bool {
        match &self.lost {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map
                .iter()
                .all(|(cause, count)| cause == "requests_untimed" || count == &Value::from(0)),
            _ => false,
        }
    }
}
