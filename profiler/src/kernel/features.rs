//! What this host offers of the things that we use, and what each one gives.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::btf::{BTF_PATH, Btf};
use super::load::{Attribution, Capacity, LoadError};
use super::offsets::Offsets;
use super::probe::{GROUPS, Group, Hook};

/// Whether something that we use is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It is there.
    Present,
    /// It is not, and a figure or convenience is missing for it.
    Missing,
    /// It is not, and without it no figure is exact.
    Required,
}

/// One thing that we use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Feature {
    /// What it is.
    pub name: String,
    /// Whether it is there.
    pub presence: Presence,
    /// What was found.
    pub found: String,
    /// Which figure it gives.
    pub gives: &'static str,
    /// How to get it, where it is missing.
    pub remedy: Option<String>,
}

impl Feature {
    fn new(name: impl Into<String>, gives: &'static str) -> Self {
        let presence = Presence::Present;
        Self { name: name.into(), presence, found: "yes".into(), gives, remedy: None }
    }

    fn found(mut self, found: impl Into<String>) -> Self {
        self.found = found.into();
        self
    }

    fn missing(mut self, presence: Presence, found: &str, remedy: &str) -> Self {
        self.presence = presence;
        self.found = found.to_owned();
        self.remedy = Some(remedy.to_owned());
        self
    }
}

/// Looks for everything that we use. The last entry is the proof: whether the programs load.
#[must_use]
pub fn features() -> Vec<Feature> {
    let mut features = vec![kernel()];
    features.extend(CAPABILITIES.iter().map(capability));
    features.push(lockdown());
    let btf = Btf::read(Path::new(BTF_PATH));
    features.push(type_information(&btf));
    if let Ok(btf) = &btf {
        features.extend(GROUPS.iter().map(|group| hooks(btf, group)));
        features.push(task_iterator(btf));
        features.extend(fields(btf));
    }
    features.push(jit());
    features.extend(MOUNTS.iter().map(mount));
    features.push(pid_namespace());
    features.extend(proof());
    features
}

/// Whether exact attribution is possible, by what [`features`] found.
#[must_use]
pub fn is_exact(features: &[Feature]) -> bool {
    features.last().is_some_and(|proof| proof.presence == Presence::Present)
}

fn kernel() -> Feature {
    let release = rustix::system::uname();
    Feature::new("kernel", "tested on 6.1, 6.12 and 6.18; 6.1 is the oldest that can work")
        .found(release.release().to_string_lossy())
}

struct Capability {
    name: &'static str,
    bit: u32,
    gives: &'static str,
    presence: Presence,
}

/// Numbers as in the kernel's `include/uapi/linux/capability.h`.
const CAPABILITIES: [Capability; 4] = [
    Capability {
        name: "CAP_BPF",
        bit: 39,
        gives: "loading eBPF programs: all exact figures",
        presence: Presence::Required,
    },
    Capability {
        name: "CAP_PERFMON",
        bit: 38,
        gives: "attaching them to tracepoints: all exact figures",
        presence: Presence::Required,
    },
    Capability {
        name: "CAP_SYS_PTRACE",
        bit: 19,
        gives: "other users' /proc files: I/O figures when sampling",
        presence: Presence::Missing,
    },
    Capability {
        name: "CAP_SYS_ADMIN",
        bit: 21,
        gives: "mounting tracefs and bpffs where they are missing",
        presence: Presence::Missing,
    },
];

fn capability(capability: &Capability) -> Feature {
    let feature = Feature::new(capability.name, capability.gives);
    let effective = procfs::process::Process::myself().and_then(|me| me.status());
    match effective {
        Ok(status) if status.capeff >> capability.bit & 1 == 1 => feature,
        _ => feature.missing(
            capability.presence,
            "not held",
            &format!("run as root, or: setcap {}+ep on the binary", capability.name.to_lowercase()),
        ),
    }
}

fn lockdown() -> Feature {
    let feature = Feature::new("lockdown", "reading kernel memory from eBPF: all exact figures");
    let mode = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    if mode.contains("[confidentiality]") {
        return feature.missing(
            Presence::Required,
            "confidentiality",
            "boot with lockdown=integrity or none",
        );
    }
    feature.found(if mode.contains("[integrity]") { "integrity" } else { "none" })
}

fn type_information(btf: &Result<Btf, String>) -> Feature {
    let feature = Feature::new("BTF", "where the kernel's fields lie: all exact figures");
    match btf {
        Ok(_) => feature.found(BTF_PATH),
        Err(error) => feature.missing(
            Presence::Required,
            error,
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' are",
        ),
    }
}

fn hooks(btf: &Btf, group: &Group) -> Feature {
    let feature = Feature::new(group.name, group.gives);
    if let Some(way) = group.way(btf) {
        let there = way.iter().filter(|hook| hook.is_there(btf));
        return feature.found(there.map(|hook| hook.name()).collect::<Vec<_>>().join(", "));
    }
    let missing = group.ways[0].iter().copied().filter(|hook| !hook.is_there(btf));
    let missing = missing.map(Hook::name).collect::<Vec<_>>().join(", ");
    let presence = if group.is_required { Presence::Required } else { Presence::Missing };
    feature.missing(presence, &format!("no {missing}"), "use a kernel that has these hooks")
}

fn task_iterator(btf: &Btf) -> Feature {
    let feature = Feature::new("task iterator", "attaching to processes that run already");
    if btf.has_function("bpf_iter_task") {
        return feature;
    }
    feature.missing(Presence::Required, "not in this kernel", "use a kernel from 6.1 on")
}

fn fields(btf: &Btf) -> Vec<Feature> {
    let offsets = Offsets::of(btf);
    let all = Feature::new("kernel fields", "each a figure of its own");
    let missing: Vec<Feature> = offsets
        .missing()
        .map(|field| {
            let name = format!("{}.{}", field.structure, field.path);
            let gives = figure_of(field.path);
            let remedy = "use a kernel built with the option that keeps this field";
            Feature::new(name, gives).missing(Presence::Missing, "not in this kernel", remedy)
        })
        .collect();
    if missing.is_empty() { vec![all.found("all")] } else { missing }
}

fn figure_of(path: &str) -> &'static str {
    match path {
        "sched_info.run_delay" => "run_queue_ns (CONFIG_SCHED_INFO)",
        "throttled_clock_self_time" => "run_queue_throttled_ns (CONFIG_CFS_BANDWIDTH)",
        "se.cfs_rq" | "tg" | "rq" => "run_queue_throttled_ns (CONFIG_FAIR_GROUP_SCHED)",
        "in_iowait" => "block_wait_ns apart from other_wait_ns",
        "bpf_storage" => "speed only: a shortcut for threads of no job",
        _ if path.starts_with("ioac.") => "storage figures (CONFIG_TASK_IO_ACCOUNTING)",
        _ => "see the usage record",
    }
}

fn jit() -> Feature {
    let feature = Feature::new("BPF JIT", "speed: without it programs are interpreted");
    match fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").as_deref().map(str::trim) {
        Ok("0") => feature.missing(Presence::Missing, "off", "sysctl net.core.bpf_jit_enable=1"),
        Ok(_) => feature.found("on"),
        Err(_) => feature.found("unknown"),
    }
}

struct Mount {
    path: &'static str,
    kind: &'static str,
    gives: &'static str,
}

const MOUNTS: [Mount; 2] = [
    Mount { path: "/sys/kernel/tracing", kind: "tracefs", gives: "other tracing tools beside us" },
    Mount { path: "/sys/fs/bpf", kind: "bpf", gives: "counting on while no profiler runs" },
];

fn mount(mount: &Mount) -> Feature {
    let feature = Feature::new(format!("{} mount", mount.kind), mount.gives).found(mount.path);
    let mounts = procfs::mounts().unwrap_or_default();
    if mounts.iter().any(|found| found.fs_file == mount.path && found.fs_vfstype == mount.kind) {
        return feature;
    }
    let remedy = format!("mount -t {} {} {}", mount.kind, mount.kind, mount.path);
    feature.missing(Presence::Missing, "not mounted", &remedy)
}

fn pid_namespace() -> Feature {
    /// Inode of the first pid namespace, `PROC_PID_INIT_INO` in the kernel's `proc_ns.h`.
    const FIRST: &str = "pid:[4026531836]";
    let feature = Feature::new("pid namespace", "the slice of threads that run while we read");
    match fs::read_link("/proc/self/ns/pid") {
        Ok(found) if found.as_os_str() == FIRST => feature.found("the host's"),
        _ => feature.missing(
            Presence::Missing,
            "a container's",
            "run on the host, or in a container that shares its pid namespace (--pid=host)",
        ),
    }
}

/// Loads everything: first the groups of hooks that failed, then whether it can be exact.
fn proof() -> Vec<Feature> {
    let feature = Feature::new("exact attribution", "the programs load, attach and can be read");
    let small = Capacity { tasks: 16, jobs: 1, connectors: 1, ended_bytes: 4096 };
    match Attribution::load(small) {
        Ok(attribution) => attribution
            .missing()
            .iter()
            .map(|(hook, group, error)| {
                let feature = Feature::new(format!("hook {}", hook.name()), hook.gives(group));
                // Root is refused only by a policy of the kernel, on hooks in functions for one.
                let reason = match error {
                    LoadError::NotPermitted => "refused by this kernel's policy".to_owned(),
                    error => error.to_string(),
                };
                let remedy =
                    "use a kernel that permits it; docs/kernels.md says what is missing without it";
                feature.missing(Presence::Missing, &reason, remedy)
            })
            .chain([feature])
            .collect(),
        Err(error) => vec![feature.missing(
            Presence::Required,
            &error.to_string(),
            "see the entries above; until then `profiler run` samples /proc",
        )],
    }
}
