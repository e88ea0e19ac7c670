//! How long run queues stood still because a CPU quota had them throttled.

/// A run queue and how long it had been throttled when somebody looked.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttled {
    /// Address of the queue, one for each group of tasks and CPU; 0 for none.
    pub queue: u64,
    /// How long it, or a group above it, had been throttled in all.
    pub total_ns: u64,
}

/// What a CPU knows of the throttling of a run queue, from the tasks of jobs that left it.
///
/// A queue is never throttled while a task of it runs. So if its total stands where it stood, it
/// was not throttled since the first task that found it there arrived on the CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Steady {
    /// The queue and its total when the last one left.
    pub last: Throttled,
    /// When the first task arrived that found the total so, by the scheduler's clock of this CPU.
    pub since_ns: u64,
    /// By how much the total had grown just before that.
    pub grown_ns: u64,
}
