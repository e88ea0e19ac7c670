//! Tests of the whole product from outside: the harness that they share, and the programs made
//! to be measured.
//!
//! Nothing here uses the product's own types. A test runs `profiler` as a user would, and
//! compares its JSON with what the kernel itself says in `/proc` ([`truth`]). The usual shape:
//!
//! ```no_run
//! # fn test() {
//! profiler_tests::require_bpf!();
//! let run = profiler_tests::run::Run::workload(&["threads", "--count", "8"]).traced().finish();
//! run.assert_success();
//! run.assert_exact();
//! # }
//! ```
//!
//! | variable | effect |
//! |---|---|
//! | `PROFILER_BIN`, `PROFILER_WORKLOAD` | the binaries, where they are not beside the tests |
//! | `PROFILER_REQUIRE_BPF=1` | a test that cannot run fails instead of being skipped |
//! | `PROFILER_SKIPPED_LOG=FILE` | each skipped test appends its line there |
//! | `PROFILER_SOAK_OPERATIONS=N` | how many operations the soak test does: 1000000 for all of it |
//! | `PROFILER_VM=1` | a small, slow machine: sizes go down and time limits up |

pub mod agent;
pub mod bench;
pub mod binaries;
pub mod bpf;
pub mod chance;
pub mod compare;
pub mod counted;
pub mod disk;
pub mod hand;
pub mod loop_device;
pub mod memory_group;
pub mod mount;
pub mod null_disk;
pub mod quota;
pub mod record;
pub mod run;
pub mod skip;
pub mod soak;
pub mod sys;
pub mod taken;
pub mod truth;
pub mod workload;

/// One of two sizes: the usual one, or the one for a small, slow machine (`PROFILER_VM=1`).
pub fn scale(usual: u32, small: u32) -> u32 {
    if in_small_vm() { small } else { usual }
}

/// Whether this is a small, slow machine.
pub fn in_small_vm() -> bool {
    std::env::var_os("PROFILER_VM").is_some_and(|value| value == "1")
}
