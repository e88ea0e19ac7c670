//! The command runs as it would without us: input, output, status, signals, environment.

use std::process::Command;

use profiler::model::RunRecord;
use profiler_tests::binaries;
use profiler_tests::require_bpf;
use profiler_tests::run::Run;
use profiler_tests::scale;
use profiler_tests::sys::with_default_signals;

fn shell(script: &str) -> Run {
    Run::command(&["/bin/sh", "-c", script])
}

/// What the same script prints without us.
fn directly(script: &str) -> String {
    let mut shell = Command::new("/bin/sh");
    let output = with_default_signals(shell.args(["-c", script])).output().expect("a shell");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn input_and_output_pass_byte_for_byte() {
    require_bpf!();
    let bytes: Vec<u8> = (0..1_000_003_u32)
        .flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 24).to_le_bytes())
        .collect();
    let run = shell("cat").stdin(bytes.clone()).finish();
    run.assert_success();
    assert!(run.stdout == bytes, "expected {} bytes, got {}", bytes.len(), run.stdout.len());
}

#[test]
fn the_summary_goes_to_standard_error_only() {
    require_bpf!();
    let run = shell("echo out; echo err >&2").finish();
    run.assert_success();
    assert_eq!(String::from_utf8_lossy(&run.stdout), "out\n", "stdout");
    assert!(run.stderr.starts_with("err\n"), "stderr: {}", run.stderr);
    assert!(run.stderr.len() > "err\n".len(), "a summary was expected. {run}");
}

#[test]
fn without_a_summary_nothing_is_printed() {
    require_bpf!();
    let run = shell("echo out; echo err >&2").options(&["--summary", "none"]).finish();
    run.assert_success();
    assert_eq!(String::from_utf8_lossy(&run.stdout), "out\n", "stdout");
    assert_eq!(run.stderr, "err\n", "stderr");
}

#[test]
fn the_summary_lists_as_many_as_asked() {
    require_bpf!();
    let rows = |top: &str| {
        let run = Run::workload(&["forks", "--count", "30"]).options(&["--top", top]).finish();
        run.assert_success();
        run.stderr.lines().filter(|line| line.contains("workload")).count()
    };
    let (few, many) = (rows("2"), rows("20"));
    assert!(few < many, "expected fewer rows with --top 2 than with 20, got {few} and {many}");
}

#[test]
fn the_exit_status_is_the_commands() {
    require_bpf!();
    for code in [0, 1, 3, 127, 255] {
        let run = shell(&format!("exit {code}")).finish();
        assert_eq!(run.code(), code, "exit status. {run}");
        assert_eq!(run.session().usage.exit_status, Some(i64::from(code)), "in the JSON");
    }
}

#[test]
fn a_command_that_a_signal_ended_gives_128_and_the_signal() {
    require_bpf!();
    for signal in [libc::SIGTERM, libc::SIGKILL, libc::SIGSEGV, libc::SIGPIPE] {
        let run = Run::workload(&["signal-me", "--signal", &signal.to_string()]).finish();
        assert_eq!(run.status.code(), Some(128 + signal), "exit status. {run}");
        let session = run.session();
        assert_eq!(session.usage.exit_status, Some(i64::from(128 + signal)), "in the JSON");
    }
}

#[test]
fn signals_to_the_profiler_reach_the_command() {
    require_bpf!();
    for (name, signal) in [("INT", libc::SIGINT), ("TERM", libc::SIGTERM), ("HUP", libc::SIGHUP)] {
        let script = format!(
            "trap 'echo got {name}; exit 7' {name}; echo begun; while :; do sleep 0.05; done"
        );
        let run = shell(&script).start();
        run.wait_for("begun");
        run.signal(signal);
        let run = run.finish();
        assert_eq!(String::from_utf8_lossy(&run.stdout), format!("begun\ngot {name}\n"), "stdout");
        assert_eq!(run.code(), 7, "exit status after {name}. {run}");
        run.session();
    }
}

#[test]
fn arguments_and_environment_arrive_as_given() {
    require_bpf!();
    let words = ["/bin/sh", "-c", "printf '<%s>' \"$@\"; printf '[%s]' \"$PATH\"", "sh"];
    let run = Run::command(&[&words[..], &["a b", "", "--json", "*", "-x", "ü"]].concat()).finish();
    run.assert_success();
    let path = std::env::var("PATH").unwrap_or_default();
    let expected = format!("<a b><><--json><*><-x><ü>[{path}]");
    assert_eq!(String::from_utf8_lossy(&run.stdout), expected, "stdout");
    assert_eq!(run.session().command[4..], ["a b", "", "--json", "*", "-x", "ü"], "in the JSON");
}

#[test]
fn the_record_can_follow_what_the_command_printed() {
    require_bpf!();
    let folder = tempfile::tempdir().expect("a folder");
    let printed = folder.path().join("printed");
    let file = std::fs::File::create(&printed).expect("a file");
    let mut run = Command::new(binaries::profiler());
    run.args(["run", "--json", "-", "--summary", "none", "--", "echo", "work"]);
    assert!(run.current_dir(folder.path()).stdout(file).status().expect("it runs").success());
    let printed = std::fs::read_to_string(printed).expect("what it printed");
    let record = printed.strip_prefix("work\n").expect("the command's own output, all of it");
    let record: RunRecord = serde_json::from_str(record).expect("one record");
    assert_eq!(record.command, ["echo", "work"]);
    assert!(!folder.path().join("-").exists(), "no file of that name");
}

#[test]
fn the_command_inherits_nothing_of_ours() {
    require_bpf!();
    // Signal masks, capabilities, limits, open files and the like, as a child sees them.
    let about = "cat /proc/self/limits; ls /proc/self/fd | wc -l; pwd; umask; \
                 grep -E '^(Sig(Blk|Ign|Cgt)|Cap|NoNewPrivs|Seccomp|Cpus_allowed)' /proc/self/status; \
                 cat /proc/self/oom_score_adj";
    let run = shell(about).finish();
    run.assert_success();
    let stdout = String::from_utf8_lossy(&run.stdout);
    assert_eq!(without_internal_signals(&stdout), without_internal_signals(&directly(about)));
}

/// Signals 32 and 33 belong to the C library, which leaves them ignored in some children and not in
/// others, by the way in which it started them.
fn without_internal_signals(status: &str) -> String {
    let line = |line: &str| match line.strip_prefix("SigIgn:\t") {
        None => line.to_owned(),
        Some(mask) => {
            let mask = u64::from_str_radix(mask, 16).expect("a mask of signals");
            format!("SigIgn:\t{:016x}", mask & !(0b11 << 31))
        }
    };
    status.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_signal_that_was_ignored_stays_ignored_for_the_command() {
    require_bpf!();
    let profiler = binaries::profiler().display().to_string();
    let script = "trap '' HUP INT USR1; exec \"$0\" \"$@\"";
    let output = Command::new("/bin/sh")
        .args(["-c", script, &profiler, "run", "--summary", "none", "--"])
        .args(["grep", "SigIgn", "/proc/self/status"])
        .output()
        .expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    let mask = u64::from_str_radix(text.trim().rsplit('\t').next().unwrap_or(""), 16);
    let mask = mask.unwrap_or_else(|error| panic!("{text:?}: {error}"));
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGUSR1] {
        assert_eq!(mask >> (signal - 1) & 1, 1, "signal {signal} of {mask:#x}");
    }
}

#[test]
fn no_thread_that_lives_on_makes_the_profiler_wait() {
    require_bpf!();
    // A daemon holds no output of ours here; the command is over at once.
    let begun = std::time::Instant::now();
    let workload = binaries::workload().display().to_string();
    let seconds = scale(5, 20);
    let script = format!("exec {workload} daemon --seconds {seconds} </dev/null >/dev/null 2>&1");
    let run = shell(&script).finish();
    run.assert_success();
    assert!(
        begun.elapsed().as_secs() < u64::from(seconds) - 1,
        "waited for the daemon: {:?}",
        begun.elapsed()
    );
}
