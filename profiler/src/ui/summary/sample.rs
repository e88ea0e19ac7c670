//! Records made by hand, for tests.

use std::collections::BTreeMap;

use crate::model::record::SCHEMA;
use crate::model::{Host, ProcessRecord, RunRecord, Source, ThreadRecord, Usage};

/// A thread or a whole whose life has these parts: on CPU, run queue, block I/O, anything else.
pub(super) fn usage(parts: [u64; 4]) -> Usage {
    let [cpu, run_queue, block, other] = parts.map(Some);
    let life = parts.iter().sum();
    Usage {
        wall_ns: Some(life),
        life_ns: Some(life),
        cpu_ns: cpu,
        run_queue_ns: run_queue,
        block_wait_ns: block,
        other_wait_ns: other,
        tasks: Some(1),
        tasks_peak: Some(1),
        ..Usage::unknown(Source::Ebpf)
    }
}

pub(super) fn thread(pid: u32, tid: u32, comm: &str, usage: Usage) -> ThreadRecord {
    ThreadRecord { pid, tid, comm: comm.to_owned(), usage }
}

/// A process for each leader among `threads`, children of process 100 but for itself.
pub(super) fn busy(threads: &[ThreadRecord]) -> Vec<ProcessRecord> {
    let leaders = threads.iter().filter(|thread| thread.pid == thread.tid);
    let process = |thread: &ThreadRecord| ProcessRecord {
        pid: thread.pid,
        parent: if thread.pid == 100 { 1 } else { 100 },
        comm: thread.comm.clone(),
        usage: thread.usage.clone(),
    };
    leaders.map(process).collect()
}

/// A run on two CPUs whose main process is 100, with its leader as the only thread.
pub(super) fn record(wall_ns: u64, command: &[&str], usage: Usage) -> RunRecord {
    let whole = Usage {
        wall_ns: Some(wall_ns).filter(|wall| *wall > 0),
        processes: usage.processes.or(usage.tasks),
        exit_status: (!command.is_empty()).then_some(0),
        lost: usage.lost.clone(),
        ..usage.clone()
    };
    let leader = Usage { lost: BTreeMap::new(), ..usage };
    let threads = vec![thread(100, 100, command.first().unwrap_or(&"x"), leader)];
    RunRecord {
        schema: SCHEMA,
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        usage: whole,
        processes: busy(&threads),
        threads,
        host: Host {
            hostname: "host".to_owned(),
            kernel: "6.12.0".to_owned(),
            architecture: "x86_64".to_owned(),
            cpus: 2,
            memory_bytes: 8 << 30,
            conservation: None,
        },
    }
}
