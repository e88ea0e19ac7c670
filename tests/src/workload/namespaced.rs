//! A worker in a process-id namespace of its own: it knows its threads by other numbers than the host.

use std::path::PathBuf;

use serde_json::json;

use super::args::Args;
use crate::agent::{Connection, short};
use crate::sys::{self, Fork};

/// Takes a slot, says what came of that and of wishes for what is not its own, waits for a line, works,
/// and gives the slot back.
pub(crate) fn worker(args: &Args) {
    if let Err(error) = sys::enter_pid_namespace() {
        println!("{}", json!({ "skipped": format!("no process-id namespace: {error}") }));
        return;
    }
    let Fork::Child = sys::fork() else {
        // Ends with its child, however that ends.
        let status = sys::wait(-1, 0).expect("a child").1;
        assert_eq!(status, 0, "the worker's end");
        return;
    };
    let socket = PathBuf::from(args.text("socket").expect("a socket"));
    let outside: u32 = args.get("outside", 0);
    let mut agent = Connection::to(&socket, "worker");
    let before = sys::thread_cpu_ns();
    let wish = json!({ "connector": "n", "scope": "thread", "tid": sys::gettid() });
    let lease = agent.acquire(wish);
    let mut refused = |what: &str| {
        let error = agent.call("Attach", json!({ "lease": lease, what: outside }));
        error.err().map(|error| short(&error).to_owned())
    };
    let (tid, pid) = (refused("tid"), refused("pid"));
    println!("{}", json!({ "tid": sys::gettid(), "outside": tid, "outside_pid": pid }));
    std::io::stdin().read_line(&mut String::new()).expect("a line");
    let begun = sys::thread_cpu_ns();
    super::work_us(5_000);
    let least = sys::thread_cpu_ns() - begun;
    let usage = agent.release(lease);
    let most = sys::thread_cpu_ns() - before;
    println!("{}", json!({ "least_ns": least, "most_ns": most, "usage": usage }));
    sys::exit_group(0);
}
