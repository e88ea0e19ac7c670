//! How a thread belongs to a job: giving it a tag and an entry, and finding them again.

use aya_ebpf::bindings::{BPF_LOCAL_STORAGE_GET_F_CREATE, task_struct};
use aya_ebpf::helpers::generated::{bpf_ktime_get_ns, bpf_task_storage_get};
use profiler_common::task::{FREE, LISTED_PLACES, SHARED_MEMORY};
use profiler_common::{
    JobRef, NO_ENTRY, Progress, SessionState, Span, TagState, TaskEntry, TaskTag,
};

use crate::atomic;
use crate::field::task::Task;
use crate::maps::{CONNECTORS, CPUS, ENTRIES, FREE_ENTRIES, JOBS, LISTED, SESSION, TASKS};
use crate::memory::{Origin, move_in};
use crate::words::{clear, copy};

/// The task's tag, if it has one in any state but `Off`.
#[inline(always)]
pub fn tag_of(task: Task) -> Option<&'static mut TaskTag> {
    if !task.may_have_tag() {
        return None;
    }
    let tag = storage(task, 0)?;
    (tag.state != TagState::Off as u64).then_some(tag)
}

#[inline(always)]
fn storage(task: Task, flags: u64) -> Option<&'static mut TaskTag> {
    let task = task.0.cast::<task_struct>().cast_mut();
    // SAFETY: the verifier knows `task` for a live task; a null value means "zeroed".
    let tag = unsafe { bpf_task_storage_get(TASKS.as_ptr(), task, core::ptr::null_mut(), flags) };
    // SAFETY: null or a value of this map, which lives as long as the task; the kernel runs at most
    // one of the programs that write it at a time (the task's CPU, or its parent before it runs).
    unsafe { tag.cast::<TaskTag>().as_mut() }
}

/// Whether a task joins a job at its birth, with everything it will ever spend, or later.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Joining {
    AtBirth,
    Later,
}

/// What is known of a task that joins.
#[derive(Clone, Copy)]
pub struct Newcomer {
    pub task: Task,
    pub joining: Joining,
    /// Whether it is a process of its own, and not one more thread.
    pub is_process: bool,
    /// Whether its address space is the job's, and where that comes from.
    pub memory: Home,
    /// 1 if only its threads, not processes that it starts, are the job's.
    pub only_threads: u32,
}

/// Whether a task's address space is its job's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// It is.
    Its(Origin),
    /// Lent by somebody of no job, until the task calls `exec`.
    Lent,
    /// Shared with threads that work for others.
    Shared,
}

/// What became of the wish to tag a task.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    Ours,
    Somebodys,
    NoMemory,
}

/// A tag for the task that nobody else fills in meanwhile.
#[inline(always)]
fn claim(task: Task) -> (Claim, Option<&'static mut TaskTag>) {
    // Of two that create the storage at the same time, one gets nothing: look for the other's.
    let create = u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE);
    let Some(tag) = storage(task, create).or_else(|| storage(task, 0)) else {
        return (Claim::NoMemory, None);
    };
    let (off, joining) = (TagState::Off as u64, TagState::Joining as u64);
    // SAFETY: an aligned field of a map value.
    if unsafe { atomic::compare_exchange(&raw mut tag.state, off, joining) } == off {
        (Claim::Ours, Some(tag))
    } else {
        (Claim::Somebodys, None)
    }
}

/// Tags a task, and lists it if an entry is free.
#[inline(always)]
pub fn join(newcomer: Newcomer, job: JobRef, connector: u32) -> Claim {
    let Newcomer { task, joining, is_process, memory, only_threads } = newcomer;
    let (claim, tag) = claim(task);
    let Some(tag) = tag else {
        if claim == Claim::NoMemory {
            lost(|session| &raw mut session.lost.tasks_untagged);
        }
        return claim;
    };
    tag.parent = task.parent();
    tag.process_start_boottime_ns = task.leader().start_boottime_ns();
    begin(&mut tag.span, job, connector, only_threads);
    clear(&mut tag.progress);
    match joining {
        Joining::AtBirth => tag.span.began_ns = task.start_time_ns(),
        Joining::Later => {
            // SAFETY: no arguments.
            tag.span.began_ns = unsafe { bpf_ktime_get_ns() };
            task.copy_counters(&mut tag.progress.now);
            copy(&mut tag.span.base, &tag.progress.now);
            tag.progress.throttled = task.throttled().unwrap_or_default();
            // Whether it sleeps or waits is not known; what holds for both is what holds for sleep.
            tag.progress.slept = 1;
        }
    }
    // Before there is an entry: the verifier would follow all of it once with and once without.
    tag.progress.mm = match memory {
        Home::Its(origin) => move_in(task, job, origin),
        Home::Shared => SHARED_MEMORY,
        Home::Lent => 0,
    };
    tag.entry = list(task, tag).unwrap_or(NO_ENTRY);
    count_in(job, connector, is_process);
    tag.state = TagState::Counted as u64;
    claim
}

#[inline(always)]
fn begin(span: &mut Span, job: JobRef, connector: u32, only_threads: u32) {
    clear(span);
    span.job = job.0;
    span.connector = connector;
    span.only_threads = only_threads;
}

/// Tags a task so that only what it starts counts.
#[inline(always)]
pub fn become_parent(task: Task, job: JobRef, connector: u32) -> Claim {
    let (claim, tag) = claim(task);
    let Some(tag) = tag else { return claim };
    begin(&mut tag.span, job, connector, 0);
    tag.entry = NO_ENTRY;
    tag.state = TagState::Parent as u64;
    claim
}

/// A task's job, and where its accounting stands: in its entry, or in its tag if it has none.
#[inline(always)]
pub fn accounting_of(tag: &mut TaskTag) -> (&mut Span, &mut Progress) {
    match entry_of(tag.entry) {
        Some(entry) => (current_span(&mut entry.spans, entry.current), &mut entry.progress),
        None => (&mut tag.span, &mut tag.progress),
    }
}

/// Where a task stands that counts.
pub struct Counted {
    /// Its place in `ENTRIES`, or [`NO_ENTRY`].
    pub entry: u32,
    pub span: &'static mut Span,
    pub progress: &'static mut Progress,
}

/// The task of this id, which runs on this CPU, if it counts. Mostly its id tells the entry, and its
/// tag is not looked up, which takes the call of a helper.
#[inline(always)]
pub fn counted(task: Task, tid: u32) -> Option<Counted> {
    if !task.may_have_tag() {
        return None;
    }
    let listed = LISTED.get_ptr_mut(tid & (LISTED_PLACES - 1))?;
    // SAFETY: an element of the array; whatever it says is checked.
    let index = unsafe { listed.read_volatile() };
    if let Some(entry) = entry_of(index)
        && entry.task == task.0 as u64
        && TaskEntry::is_counted(entry.current)
    {
        let span = current_span(&mut entry.spans, entry.current);
        return Some(Counted { entry: index, span, progress: &mut entry.progress });
    }
    let tag = tag_of(task)?;
    if tag.state != TagState::Counted as u64 {
        return None;
    }
    // SAFETY: as above.
    unsafe { listed.write_volatile(tag.entry) };
    let entry = tag.entry;
    let (span, progress) = accounting_of(tag);
    Some(Counted { entry, span, progress })
}

/// The span that `current` says. An index and no branch: the verifier would follow all that comes
/// after a branch once for each of the two.
#[inline(always)]
pub fn current_span(spans: &mut [Span; 2], current: u64) -> &mut Span {
    // Else the compiler makes a branch of it.
    let index = core::hint::black_box(TaskEntry::span_index(current)) & 1;
    // SAFETY: 0 or 1.
    unsafe { &mut *spans.as_mut_ptr().add(index) }
}

/// An entry by its index.
#[inline(always)]
pub fn entry_of(index: u32) -> Option<&'static mut TaskEntry> {
    // SAFETY: null or an element of the array, which lives as long as the program; only the holder
    // of the index writes it.
    ENTRIES.get_ptr_mut(index).and_then(|entry| unsafe { entry.as_mut() })
}

/// Gives the entry of a task back.
#[inline(always)]
pub fn unlist(tag: &mut TaskTag) {
    if let Some(entry) = entry_of(tag.entry) {
        // SAFETY: an aligned field of a map value.
        unsafe { atomic::exchange(&raw mut entry.current, FREE) };
        // The stack is as large as the array, so it always has room.
        let _ = FREE_ENTRIES.push(tag.entry, 0);
    }
    tag.entry = NO_ENTRY;
}

#[inline(always)]
fn list(task: Task, tag: &TaskTag) -> Option<u32> {
    let Some((index, entry)) = free_entry() else {
        lost(|session| &raw mut session.lost.tasks_unlisted);
        return None;
    };
    entry.tid = task.tid();
    entry.pid = task.pid();
    entry.parent = tag.parent;
    entry.start_boottime_ns = task.start_boottime_ns();
    entry.process_start_boottime_ns = tag.process_start_boottime_ns;
    task.copy_comm(&mut entry.comm);
    entry.task = task.0 as u64;
    copy(&mut entry.spans[0], &tag.span);
    copy(&mut entry.progress, &tag.progress);
    // SAFETY: an aligned field of a map value. Readers take the entry for free until now, and an
    // exchange orders what was written before it.
    unsafe { atomic::exchange(&raw mut entry.current, 1) };
    note_running(task, entry.tid);
    Some(index)
}

#[inline(always)]
fn free_entry() -> Option<(u32, &'static mut TaskEntry)> {
    if let Ok(Some(index)) = FREE_ENTRIES.pop() {
        return entry_of(index).map(|entry| (index, entry));
    }
    let session = session()?;
    // SAFETY: an aligned field of a map value.
    let index = unsafe { atomic::fetch_add(&raw mut session.entries_used, 1) } as u32;
    entry_of(index).map(|entry| (index, entry))
}

/// Tells readers that a task is on its CPU right now, where no switch has told them. If a switch
/// happens meanwhile, its own note stands.
#[inline(always)]
fn note_running(task: Task, tid: u32) {
    let Some(number) = task.running_on() else { return };
    let Some(cpu) = CPUS.get_ptr_mut(number) else { return };
    // SAFETY: `cpu` is an element of the array.
    let running = unsafe { &raw mut (*cpu).running };
    // SAFETY: an aligned field of a map value. Volatile: its CPU writes it.
    let before = unsafe { running.read_volatile() };
    if task.running_on() == Some(number) {
        // SAFETY: an aligned field of a map value.
        unsafe { atomic::compare_exchange(running, before, u64::from(tid) + 1) };
    }
}

#[inline(always)]
fn count_in(job: JobRef, connector: u32, is_process: bool) {
    if let Some(entry) = JOBS.get_ptr_mut(job.slot()) {
        // SAFETY: an element of the array.
        let entry = unsafe { &mut *entry };
        if entry.job == job.0 {
            count_task(&mut entry.total, is_process);
        }
    }
    if let Some(total) = CONNECTORS.get_ptr_mut(connector) {
        // SAFETY: an element of the array.
        count_task(unsafe { &mut *total }, is_process);
    }
}

#[inline(always)]
fn count_task(total: &mut profiler_common::Total, is_process: bool) {
    // SAFETY: aligned fields of a map value, here and below.
    unsafe { atomic::add(&raw mut total.tasks, 1) };
    if is_process {
        // SAFETY: as above.
        unsafe { atomic::add(&raw mut total.processes, 1) };
    }
    // SAFETY: as above.
    let live = unsafe { atomic::fetch_add(&raw mut total.tasks_live, 1) } + 1;
    // SAFETY: as above.
    unsafe { atomic::raise_to(&raw mut total.tasks_peak, live) };
}

/// The one element of `SESSION`.
#[inline(always)]
pub fn session() -> Option<&'static mut SessionState> {
    // SAFETY: null or the element of the array.
    SESSION.get_ptr_mut(0).and_then(|session| unsafe { session.as_mut() })
}

/// Counts something that could not be counted.
#[inline(always)]
pub fn lost(cause: impl FnOnce(&mut SessionState) -> *mut u64) {
    if let Some(session) = session() {
        // SAFETY: an aligned field of a map value.
        unsafe { atomic::add(cause(session), 1) };
    }
}
