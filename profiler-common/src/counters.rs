//! The kernel's own counters of a task, and what a job makes of them.

use core::mem::offset_of;

/// The counters that the kernel itself keeps in `task_struct`, as they stood at one moment.
///
/// They only ever grow while the task lives. Nothing here is measured by us: the difference of two
/// readings is what the kernel charged the task in between.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// `se.sum_exec_runtime`: time on CPU, nanoseconds.
    pub cpu_ns: u64,
    /// `sched_info.run_delay`: runnable but waiting for a CPU, nanoseconds.
    pub run_queue_ns: u64,
    /// `nvcsw`: switches because the task waited for something.
    pub voluntary_switches: u64,
    /// `nivcsw`: switches because somebody else got the CPU.
    pub involuntary_switches: u64,
    /// `min_flt`: page faults served without I/O.
    pub minor_faults: u64,
    /// `maj_flt`: page faults that needed I/O.
    pub major_faults: u64,
    /// `ioac.read_bytes`: bytes that the task caused to be read from storage.
    pub read_bytes: u64,
    /// `ioac.write_bytes`: bytes that the task dirtied, charged when the page is dirtied.
    pub write_bytes: u64,
    /// `ioac.cancelled_write_bytes`: dirtied by anybody, truncated by this task before writeback.
    pub cancelled_write_bytes: u64,
    /// `ioac.rchar`: bytes through read-like calls.
    pub logical_read_bytes: u64,
    /// `ioac.wchar`: bytes through write-like calls.
    pub logical_write_bytes: u64,
    /// `ioac.syscr`: read-like calls.
    pub read_calls: u64,
    /// `ioac.syscw`: write-like calls.
    pub write_calls: u64,
}

macro_rules! each_counter {
    ($then:ident) => {
        $then!(
            cpu_ns,
            run_queue_ns,
            voluntary_switches,
            involuntary_switches,
            minor_faults,
            major_faults,
            read_bytes,
            write_bytes,
            cancelled_write_bytes,
            logical_read_bytes,
            logical_write_bytes,
            read_calls,
            write_calls,
        )
    };
}

impl Counters {
    /// How much each counter grew since `base`.
    #[must_use]
    #[inline(always)]
    pub fn since(&self, base: &Self) -> Self {
        macro_rules! grown {
            ($($counter:ident,)*) => {
                Self { $($counter: self.$counter.wrapping_sub(base.$counter)),* }
            };
        }
        each_counter!(grown)
    }

    /// Adds other counters.
    #[inline(always)]
    pub fn add(&mut self, other: &Self) {
        macro_rules! add {
            ($($counter:ident,)*) => {
                $(self.$counter = self.$counter.wrapping_add(other.$counter);)*
            };
        }
        each_counter!(add);
    }
}

/// What the kernel keeps no counter of, so that the programs do.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Part of [`Counters::run_queue_ns`] during which a CPU quota had the task's group throttled.
    pub run_queue_throttled_ns: u64,
    /// Of the other waits, those that ended when a task of another job left the CPU.
    pub run_queue_managed_ns: u64,
    /// Of the other waits, those that ended when a task of the same job left the CPU.
    pub run_queue_self_ns: u64,
    /// Off the CPU with the kernel's I/O wait mark set.
    pub block_wait_ns: u64,
    /// Bytes that were read at leaf devices.
    pub device_read_bytes: u64,
    /// Bytes that were written there.
    pub device_write_bytes: u64,
    /// Read requests there.
    pub device_read_ops: u64,
    /// Write requests there.
    pub device_write_ops: u64,
    /// Payload received on IPv4 and IPv6 sockets.
    pub net_rx_bytes: u64,
    /// Calls that received some.
    pub net_rx_ops: u64,
    /// Payload sent on IPv4 and IPv6 sockets.
    pub net_tx_bytes: u64,
    /// Calls that sent some.
    pub net_tx_ops: u64,
    /// Received on `AF_UNIX` sockets.
    pub local_rx_bytes: u64,
    /// Sent on `AF_UNIX` sockets.
    pub local_tx_bytes: u64,
}

/// Requests at a leaf device.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceUse {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Read requests.
    pub read_ops: u64,
    /// Write requests.
    pub write_ops: u64,
}

/// What tasks spent under a job. Sums of these add up field by field.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Growth of the kernel's counters since the task joined the job.
    pub counters: Counters,
    /// What the programs saw since then.
    pub observed: Observed,
    /// From joining the job to the end, or to now: the wall time of each task, added up.
    pub life_ns: u64,
}

macro_rules! each_observed {
    ($then:ident) => {
        $then!(
            run_queue_throttled_ns,
            run_queue_managed_ns,
            run_queue_self_ns,
            block_wait_ns,
            device_read_bytes,
            device_write_bytes,
            device_read_ops,
            device_write_ops,
            net_rx_bytes,
            net_rx_ops,
            net_tx_bytes,
            net_tx_ops,
            local_rx_bytes,
            local_tx_bytes,
        )
    };
}

/// Whether words lie one after another in this order, so many in all.
const fn lie_in_order(offsets: &[usize], size: usize) -> bool {
    let mut index = 0;
    while index < offsets.len() && offsets[index] == index * 8 {
        index += 1;
    }
    index * 8 == size
}

// What [`Spent::words`] lists is added to memory word by word.
const _: () = {
    macro_rules! of_counters {
        ($($counter:ident,)*) => { [$(offset_of!(Counters, $counter)),*] };
    }
    macro_rules! of_observed {
        ($($figure:ident,)*) => { [$(offset_of!(Observed, $figure)),*] };
    }
    assert!(lie_in_order(&each_counter!(of_counters), size_of::<Counters>()));
    assert!(lie_in_order(&each_observed!(of_observed), size_of::<Observed>()));
    assert!(offset_of!(Spent, counters) == 0);
    assert!(offset_of!(Spent, observed) == size_of::<Counters>());
    assert!(offset_of!(Spent, life_ns) == size_of::<Counters>() + size_of::<Observed>());
};

impl Observed {
    /// How much each figure grew since `base`.
    #[must_use]
    #[inline(always)]
    pub fn since(&self, base: &Self) -> Self {
        macro_rules! grown {
            ($($figure:ident,)*) => {
                Self { $($figure: self.$figure.wrapping_sub(base.$figure)),* }
            };
        }
        each_observed!(grown)
    }
}

impl Spent {
    /// The figures one after another, as they lie in memory.
    pub fn words(&self) -> impl Iterator<Item = u64> {
        let counters = &self.counters;
        let observed = &self.observed;
        macro_rules! values {
            ($($counter:ident,)*) => { [$(counters.$counter),*] };
        }
        macro_rules! seen {
            ($($figure:ident,)*) => { [$(observed.$figure),*] };
        }
        let (counters, observed) = (each_counter!(values), each_observed!(seen));
        counters.into_iter().chain(observed).chain([self.life_ns])
    }

    /// Adds what others spent.
    pub fn add(&mut self, other: &Self) {
        self.counters.add(&other.counters);
        macro_rules! add {
            ($($figure:ident,)*) => {
                $(self.observed.$figure = self.observed.$figure.wrapping_add(other.observed.$figure);)*
            };
        }
        each_observed!(add);
        self.life_ns += other.life_ns;
    }
}

impl DeviceUse {
    /// Adds other requests.
    pub fn add(&mut self, other: &Self) {
        self.read_bytes = self.read_bytes.wrapping_add(other.read_bytes);
        self.write_bytes = self.write_bytes.wrapping_add(other.write_bytes);
        self.read_ops = self.read_ops.wrapping_add(other.read_ops);
        self.write_ops = self.write_ops.wrapping_add(other.write_ops);
    }
}
