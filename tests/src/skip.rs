//! Tests that cannot run here say so by name, instead of passing in silence.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use crate::{bpf, sys};

/// Leaves the test with a reason, or fails it where `PROFILER_REQUIRE_BPF=1`.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => {{
        // The path of a closure begins with the path of the function around it.
        $crate::skip::say(std::any::type_name_of_val(&|| ()), &format!($($why)*));
        return;
    }};
}

/// Goes on only where BPF programs can be loaded.
#[macro_export]
macro_rules! require_bpf {
    () => {
        if let Err(why) = $crate::skip::bpf_usable() {
            $crate::skip!("{why}");
        }
    };
}

/// Writes the line about a skipped test. Called by [`skip!`].
pub fn say(closure: &str, why: &str) {
    let name = closure.trim_end_matches("::{{closure}}");
    let line = format!("SKIPPED: {name}: {why}");
    if std::env::var_os("PROFILER_REQUIRE_BPF").is_some_and(|value| value == "1") {
        panic!("{line} (and PROFILER_REQUIRE_BPF=1)");
    }
    // Past the test runner's capture, which hides what a passing test prints.
    writeln!(std::io::stderr(), "{line}").ok();
    if let Some(path) = std::env::var_os("PROFILER_SKIPPED_LOG") {
        let log = File::options().append(true).create(true).open(&path);
        let mut log = log.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        writeln!(log, "{line}").expect("one line");
    }
}

/// Why no BPF program can be loaded here, if so.
pub fn bpf_usable() -> Result<(), String> {
    if sys::geteuid() != 0 {
        return Err("needs root".into());
    }
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Err("this kernel has no /sys/kernel/btf/vmlinux".into());
    }
    bpf::programs().map(drop).map_err(|error| format!("the bpf system call: {error}"))
}
