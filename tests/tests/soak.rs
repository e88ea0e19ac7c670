//! A million things happen, and no slot is given twice.

use profiler_tests::soak::Storm;
use profiler_tests::{in_small_vm, require_bpf, skip};

/// Operations, unless `PROFILER_SOAK_OPERATIONS` says another number.
const USUALLY: u64 = 60_000;

#[test]
fn no_slot_is_given_twice_whatever_clients_operators_and_crashes_do() {
    require_bpf!();
    if in_small_vm() {
        skip!("an emulated processor does 40 operations a second, and three crashes take for ever");
    }
    let named = std::env::var("PROFILER_SOAK_OPERATIONS").ok();
    let operations = match named {
        Some(number) => number.parse().expect("PROFILER_SOAK_OPERATIONS: a number"),
        None => USUALLY,
    };
    let seed = 0x5eed;
    let toll = Storm::begin(seed).rage(operations, 3 + operations / 50_000);
    println!("{toll}");
    // Otherwise it was about nothing.
    assert!(toll.records > operations / 20, "{toll:?}");
    assert!(toll.restarts >= 3 && toll.looks > 10, "{toll:?}");
}
