//! Reads and writes, as the kernel charges them to each thread.

use profiler_tests::require_bpf;
use profiler_tests::run::Run;

#[test]
fn bytes_and_calls_are_those_of_the_kernel_for_each_thread() {
    require_bpf!();
    let run = Run::workload(&["storage", "--mib", "4"]).traced().finish();
    run.assert_success();
    run.assert_exact();
    let (key, truth) = run.finals().into_iter().next().expect("one thread");
    let got = run.session().sum_of_threads(key.0);
    for ((name, expected), (_, got)) in truth.named().into_iter().zip(got.named()) {
        assert_eq!(got, expected, "{name} of process {}", key.0);
    }
    assert!(got.logical_write_bytes >= Some(4 << 20), "written: {:?}", got.logical_write_bytes);
    assert!(got.logical_read_bytes >= Some(4 << 20), "read: {:?}", got.logical_read_bytes);
}
