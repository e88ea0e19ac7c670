//! The host's figures as people and programs ask for them.

use serde::Serialize;

use super::{BlockDevice, Interface, Reading};
use crate::model::{HostSample, Pressure};

/// The host now, and what it did since the reading before.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HostView {
    /// Percent of all CPUs that were busy; `None` at the first reading.
    pub cpu_percent: Option<f64>,
    /// Each CPU that is online.
    pub cores: Vec<CoreView>,
    /// CPUs as the kernel counts them.
    pub logical_cores: u32,
    /// CPUs that share no units with others.
    pub physical_cores: Option<u32>,
    /// CPUs that jobs may use.
    pub usable_cores: f64,
    /// All memory.
    pub memory_total_bytes: u64,
    /// Memory that can be had without swapping.
    pub memory_available_bytes: u64,
    /// Percent of memory that cannot be had.
    pub memory_percent: f64,
    /// All swap.
    pub swap_total_bytes: u64,
    /// Swap in use.
    pub swap_used_bytes: u64,
    /// Disks.
    pub disks: Vec<DeviceView>,
    /// File systems.
    pub filesystems: Vec<FilesystemView>,
    /// Network interfaces.
    pub interfaces: Vec<InterfaceView>,
    /// Shares of the interval in which something was held up.
    pub pressure: Option<Pressure>,
}

/// A CPU.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CoreView {
    /// Its number.
    pub cpu: u32,
    /// Percent of the interval in which it was busy.
    pub percent: Option<f64>,
}

/// A disk.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceView {
    /// Its name.
    pub name: String,
    /// Bytes read since the host started.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Requests completed.
    pub operations: u64,
    /// Percent of the interval in which a request was under way.
    pub busy_percent: Option<f64>,
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilesystemView {
    /// Where it is mounted.
    pub mounted: String,
    /// Its size.
    pub total_bytes: u64,
    /// What a user may still write.
    pub available_bytes: u64,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InterfaceView {
    /// Its name.
    pub name: String,
    /// Bytes that came in since it came up.
    pub received_bytes: u64,
    /// Bytes that went out.
    pub sent_bytes: u64,
}

impl HostView {
    /// Of a reading, and the one before it if there was one.
    pub(super) fn of(
        now: &Reading,
        before: Option<&Reading>,
        filesystems: &[FilesystemView],
    ) -> Self {
        let sample = before.map(|before| now.since(before));
        let memory = &now.memory;
        let used = memory.total.less(memory.available);
        Self {
            cpu_percent: before.and_then(|before| now.cpu.percent_since(&before.cpu)),
            cores: now.cores.iter().map(|core| core_view(*core, before)).collect(),
            logical_cores: now.capacity.logical_cores,
            physical_cores: now.capacity.physical_cores,
            usable_cores: now.capacity.usable_cores,
            memory_total_bytes: memory.total.0,
            memory_available_bytes: memory.available.0,
            memory_percent: 100.0 * used.as_f64() / memory.total.as_f64().max(1.0),
            swap_total_bytes: memory.swap_total.0,
            swap_used_bytes: memory.swap_total.less(memory.swap_free).0,
            disks: disks(&now.devices, sample.as_ref()),
            filesystems: filesystems.to_vec(),
            interfaces: now.interfaces.iter().map(interface).collect(),
            pressure: sample.and_then(|sample| sample.pressure),
        }
    }
}

fn core_view((cpu, times): (u32, super::CpuTimes), before: Option<&Reading>) -> CoreView {
    let earlier = before.and_then(|before| before.cores.iter().find(|(it, _)| *it == cpu));
    CoreView { cpu, percent: earlier.and_then(|(_, earlier)| times.percent_since(earlier)) }
}

fn disks(devices: &[BlockDevice], sample: Option<&HostSample>) -> Vec<DeviceView> {
    let view = |(place, device): (usize, &BlockDevice)| {
        // A sample has its devices in the order of the reading.
        let busy = sample.and_then(|sample| sample.devices.get(place)?.busy);
        DeviceView {
            name: device.name.clone(),
            read_bytes: device.read_bytes,
            written_bytes: device.written_bytes,
            operations: device.operations(),
            busy_percent: busy.map(|share| 100.0 * share),
        }
    };
    devices.iter().enumerate().map(view).collect()
}

fn interface(interface: &Interface) -> InterfaceView {
    InterfaceView {
        name: interface.name.clone(),
        received_bytes: interface.received_bytes,
        sent_bytes: interface.sent_bytes,
    }
}
