//! What bound the run: one line, by a fixed rule.
//!
//! 1. A thread that ran for 80 % of the wall time: CPU.
//! 2. The leader of the main process ran, waited for a CPU, or waited for block I/O for half of the
//!    wall time: the greatest of these. If it waited for a CPU behind its own threads, see 3 first.
//!    A wait for a CPU that was mostly a CPU quota's doing is called that.
//! 3. The leader slept for half of it, and there were other threads: if those together spent half
//!    of the wall time on CPU, in the run queue or in block I/O, the greatest of these; or no single
//!    thing, if that is not half by itself.
//! 4. The leader slept for half of it: waiting for something else.
//! 5. Otherwise no single thing; the leader's parts are shown.
//!
//! Without a leader in the list, what rule 3 says of the other threads is said of all. Where parts
//! are not known, or threads were lost, a rule that would need them says nothing.

use std::collections::HashSet;

use super::bar;
use crate::model::units::{duration, percent};
use crate::model::{ProcessRecord, RunRecord, ThreadRecord, Usage};
use crate::ui::text::plain;

/// From this part of the wall time on, a thread on CPU bounds the run.
const BUSY: f64 = 0.8;
/// From this part on, anything does.
const HALF: f64 = 0.5;

/// What bound a run, and who shows it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bound<'a> {
    by: By,
    who: Who<'a>,
    /// Of the wall time. Of several threads together it may be more than 1.
    share: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Cpu,
    RunQueue,
    BlockIo,
    Sleep,
    Nothing([f64; 4]),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Who<'a> {
    One(&'a ThreadRecord),
    /// All threads but this one.
    Others(&'a ThreadRecord),
    All,
}

/// What bound the run; `None` if that cannot be said.
pub(super) fn bound(record: &RunRecord) -> Option<Bound<'_>> {
    let wall_ns = record.usage.wall_ns.filter(|wall| *wall > 0)?;
    let share = |ns: u64| ns as f64 / wall_ns as f64;
    if let Some(busiest) = record.threads.iter().max_by_key(|thread| thread.usage.cpu_ns) {
        let share = busiest.usage.cpu_ns.map_or(0.0, share);
        if share >= BUSY {
            return Some(Bound { by: By::Cpu, who: Who::One(busiest), share });
        }
    }
    let all = bar::parts(&record.usage)?;
    let Some(leader) = leader(record) else {
        return together(all.map(share)).map(|(by, share)| Bound { by, who: Who::All, share });
    };
    let own = bar::parts(&leader.usage)?;
    let slept = share(own[3]);
    let by_itself = greatest(own.map(share)).filter(|(_, share)| *share >= HALF);
    let by_itself = by_itself.map(|(by, share)| Bound { by, who: Who::One(leader), share });
    // Who stands behind its own threads waits for what they do.
    let is_behind_own = matches!(&by_itself, Some(bound) if bound.by == By::RunQueue)
        && is_behind_own(&leader.usage);
    if !is_behind_own {
        if by_itself.is_some() {
            return by_itself;
        }
        if slept < HALF {
            let by = By::Nothing(own.map(share));
            return Some(Bound { by, who: Who::One(leader), share: slept });
        }
    }
    let mut others = all;
    for (others, own) in others.iter_mut().zip(own) {
        *others = others.saturating_sub(own);
    }
    if let Some((by, share)) = together(others.map(share)) {
        return Some(Bound { by, who: Who::Others(leader), share });
    }
    if by_itself.is_some() {
        return by_itself;
    }
    // What was lost may be what the leader waited for.
    let is_whole = record.usage.lost.is_empty();
    is_whole.then_some(Bound { by: By::Sleep, who: Who::One(leader), share: slept })
}

/// The greatest of the parts that are not sleep.
fn greatest([cpu, run_queue, block, _]: [f64; 4]) -> Option<(By, f64)> {
    // Of equals the last one is taken: CPU before all.
    let parts = [(By::BlockIo, block), (By::RunQueue, run_queue), (By::Cpu, cpu)];
    parts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))
}

/// What several threads did together, if it is half of the wall time; `None` if they slept.
fn together(parts: [f64; 4]) -> Option<(By, f64)> {
    let awake: f64 = parts.iter().take(3).sum();
    let (by, share) = greatest(parts).filter(|_| awake >= HALF)?;
    // Less than half is no bound, whatever they did besides at the same time.
    Some(if share >= HALF { (by, share) } else { (By::Nothing(parts), share) })
}

/// The process that no other one of the run started; `None` unless there is exactly one.
pub(super) fn main_process(record: &RunRecord) -> Option<&ProcessRecord> {
    let pids: HashSet<u32> = record.processes.iter().map(|process| process.pid).collect();
    let mut roots = record.processes.iter().filter(|process| !pids.contains(&process.parent));
    roots.next().filter(|_| roots.next().is_none())
}

/// The leader of the main process. Of several the longest lived is meant: an `exec` by another
/// thread replaces the leader.
fn leader(record: &RunRecord) -> Option<&ThreadRecord> {
    let pid = main_process(record)?.pid;
    let leaders = record.threads.iter().filter(|thread| thread.pid == pid && thread.tid == pid);
    leaders.max_by_key(|thread| thread.usage.wall_ns)
}

impl Bound<'_> {
    /// The line, for the run that it is about.
    pub(super) fn text(&self, record: &RunRecord) -> String {
        let Self { by, who, share } = self;
        let (of_wall, many) = (format!("{} of wall", percent(share.min(1.0))), *share);
        match (by, who) {
            (By::Cpu, Who::One(thread)) => format!("CPU: {} ran {of_wall}", name(thread)),
            (By::Cpu, Who::Others(leader)) => {
                format!("CPU: others used {many:.2} CPUs while {} waited", name(leader))
            }
            (By::Cpu, Who::All) => format!("CPU: {many:.2} CPUs in use on average"),
            (By::RunQueue, Who::One(thread)) if is_throttled(&thread.usage) => {
                let throttled = percent(throttled(&thread.usage, record).min(1.0));
                format!("CPU quota: {} was throttled {throttled} of wall", name(thread))
            }
            (By::RunQueue, Who::Others(leader)) if is_throttled(&record.usage) => {
                let others = throttled(&record.usage, record) - throttled(&leader.usage, record);
                format!("CPU quota: on average {others:.2} threads throttled")
            }
            (By::RunQueue, Who::All) if is_throttled(&record.usage) => {
                let all = throttled(&record.usage, record);
                format!("CPU quota: on average {all:.2} threads throttled")
            }
            (By::RunQueue, Who::One(thread)) => {
                let name = name(thread);
                format!(
                    "CPU contention: {name} queued {of_wall}{}",
                    behind(&thread.usage, "its own threads")
                )
            }
            (By::RunQueue, _) => {
                let behind = behind(&record.usage, "each other");
                format!("CPU contention: on average {many:.2} threads queued{behind}")
            }
            (By::BlockIo, Who::One(thread)) => {
                format!("block I/O: {} waited {of_wall}{}", name(thread), slowest(record))
            }
            (By::BlockIo, _) => {
                format!("block I/O: {many:.2} threads waited on average{}", slowest(record))
            }
            (By::Sleep, Who::One(thread)) => {
                format!("neither CPU nor disk: {} slept {of_wall}", name(thread))
            }
            (By::Nothing([cpu, queue, block, slept]), Who::One(thread)) => {
                let [cpu, queue, block, slept] = [cpu, queue, block, slept].map(|x| percent(*x));
                format!(
                    "no single thing: {} ran {cpu}, queued {queue}, block I/O {block}, slept {slept}",
                    name(thread)
                )
            }
            (By::Nothing([cpu, queue, block, _]), _) => format!(
                "no single thing: others used {cpu:.2} CPUs, {queue:.2} queued, {block:.2} in block I/O"
            ),
            (By::Sleep, _) => String::new(),
        }
    }
}

fn name(thread: &ThreadRecord) -> String {
    format!("{} ({})", plain(&thread.comm), thread.tid)
}

/// Behind whom most of the wait for a CPU was.
fn behind(usage: &Usage, own_threads: &str) -> String {
    match (usage.run_queue_self_ns, usage.run_queue_ns) {
        (Some(_), Some(_)) if is_behind_own(usage) => format!(" behind {own_threads}"),
        (Some(_), Some(_)) => " behind others".to_owned(),
        _ => String::new(),
    }
}

/// Whether a quota, and not somebody else, took most of the wait for a CPU.
fn is_throttled(usage: &Usage) -> bool {
    matches!((usage.run_queue_throttled_ns, usage.run_queue_ns), (Some(it), Some(all)) if it > all / 2)
}

/// For how much of the wall time of the run a quota held threads back.
fn throttled(usage: &Usage, record: &RunRecord) -> f64 {
    let wall_ns = record.usage.wall_ns.unwrap_or(0).max(1);
    usage.run_queue_throttled_ns.unwrap_or(0) as f64 / wall_ns as f64
}

fn is_behind_own(usage: &Usage) -> bool {
    matches!((usage.run_queue_self_ns, usage.run_queue_ns), (Some(own), Some(all)) if own > all / 2)
}

/// Which device it was, if only one took part, and how slow its slowest requests were.
fn slowest(record: &RunRecord) -> String {
    let devices = record.host.conservation.iter().flat_map(|totals| &totals.devices);
    let mut used = devices.filter(|used| used.read_ops.managed + used.write_ops.managed > 0);
    let only = used.next().filter(|_| used.next().is_none());
    let on = only.map_or_else(String::new, |device| format!(" on {}", plain(&device.name)));
    let latency = record.usage.device_latency_us;
    let p99 = latency.map(|latency| duration(latency.p99.saturating_mul(1000)));
    on + &p99.map_or_else(String::new, |p99| format!(", p99 {p99}"))
}

#[cfg(test)]
mod tests;
