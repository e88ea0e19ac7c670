//! What concerns a loaded set of programs as a whole.

/// Element 0 of the `SESSION` array, which user space maps.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionState {
    /// Entries handed out at least once: no live entry lies at or beyond this index.
    pub entries_used: u64,
    /// What could not be counted, by cause; written by eBPF only.
    pub lost: Lost,
}

/// What could not be counted, by cause. All 0 when the figures are exact.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Tasks that should have joined a job and could not, for want of kernel memory: neither they
    /// nor what they start is counted.
    pub tasks_untagged: u64,
    /// Tasks without an entry, the array being full: counted, but not seen before they end.
    pub tasks_unlisted: u64,
    /// Ends of tasks that found the ring buffer full: part of the totals, missing from the lists.
    pub ends_unlisted: u64,
    /// Tasks that ended after their job's slot went to another job: charged to nobody.
    pub tasks_of_reused_slot: u64,
    /// Address spaces that were not followed, the table being full: their memory is missing.
    pub address_spaces_unlisted: u64,
    /// Devices for which the table had no place: missing from the account of devices, not from jobs.
    pub devices_unlisted: u64,
    /// Block requests whose completion nobody saw, which were too many under way at once, or of a
    /// disk that stopped keeping their begin: missing from the latencies, and from nothing else.
    pub requests_untimed: u64,
}

/// What `tag_task` does with the tasks that it visits.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagMode {
    /// Count the task, and what it starts, from now on.
    Count = 1,
    /// Count only what the task starts from now on.
    Parent = 2,
    /// As [`TagMode::Count`], for a thread of a process that others share: its address space is
    /// not the job's, nor is that of threads that it starts.
    Thread = 4,
    /// As [`TagMode::Count`], but processes that the task starts do not count, only its threads.
    Process = 5,
    /// Stop: what the task spent so far goes to its job, and it starts nothing that counts.
    Remove = 3,
}

/// Element 0 of the `REQUEST` array: what user space asks of the next run of `tag_task`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct TagRequest {
    /// [`JobRef`](crate::JobRef) of the job.
    pub job: u64,
    /// Index into the `CONNECTORS` array.
    pub connector: u32,
    /// A [`TagMode`].
    pub mode: u32,
    /// Tasks born from then on (`CLOCK_MONOTONIC`) count from their birth; 0 for none.
    pub since_ns: u64,
    /// Answer: tasks that were changed.
    pub changed: u64,
    /// Answer: tasks that already were as asked.
    pub unchanged: u64,
    /// Answer: tasks that could not be tagged because they are ending.
    pub ending: u64,
    /// Answer: tasks that could not be tagged for want of kernel memory.
    pub failed: u64,
    /// Answer: index in `ENTRIES` of the last task that was tagged, or [`NO_ENTRY`](crate::NO_ENTRY).
    pub entry: u64,
}
