//! Calls that wait, and replies that follow each other.

use super::service::STATES;
use super::*;

fn queue(client: &mut Client) {
    let parameters = json!({ "connector": "queue" });
    client.send_call(
        &json!({ "method": "org.profiler.Worker.Acquire", "parameters": parameters, "more": true }),
    );
}

fn position(reply: &Value) -> (Option<u64>, bool) {
    (reply["parameters"]["waiting"]["position"].as_u64(), reply["continues"] == true)
}

#[test]
fn who_waits_hears_of_each_change_of_place_and_then_of_the_grant() {
    let agent = Agent::start();
    let (mut first, mut second) = (agent.connect(), agent.connect());
    queue(&mut first);
    assert_eq!(position(&first.reply().unwrap()), (Some(1), true));
    queue(&mut second);
    assert_eq!(position(&second.reply().unwrap()), (Some(2), true));
    agent.connect().assert_served();
    let grant = first.reply().unwrap();
    assert!(grant["parameters"]["grant"]["lease"].is_u64(), "{grant}");
    assert_ne!(grant["continues"], true);
    assert_eq!(position(&second.reply().unwrap()), (Some(1), true));
    first.assert_served();
}

#[test]
fn who_takes_one_reply_only_gets_the_last() {
    let agent = Agent::start();
    let mut client = agent.connect();
    let parameters = json!({ "connector": "queue" });
    client.send_call(&json!({ "method": "org.profiler.Worker.Acquire", "parameters": parameters }));
    wait_until("waiting", || agent.seen.waiting.load(Ordering::SeqCst) == 1);
    agent.connect().assert_served();
    let reply = client.reply().unwrap();
    assert!(reply["parameters"]["grant"]["lease"].is_u64(), "{reply}");
}

#[test]
fn a_connection_that_ends_while_it_waits_is_noticed_at_once() {
    let agent = Agent::start();
    let mut client = agent.connect();
    queue(&mut client);
    client.reply().unwrap();
    // Something lies behind the call that waits, whole or not.
    client.send(b"{\"method\":\"org.varlink.service.GetInfo\"}\0{\"meth");
    assert_eq!(agent.seen.waiting.load(Ordering::SeqCst), 1);
    let begin = Instant::now();
    drop(client);
    wait_until("gone", || agent.seen.waiting.load(Ordering::SeqCst) == 0);
    wait_until("closed", || agent.seen.closed.load(Ordering::SeqCst) == 1);
    assert!(begin.elapsed() < Duration::from_secs(1), "took {:?}", begin.elapsed());
}

#[test]
fn calls_behind_one_that_waits_are_answered_after_it() {
    let agent = Agent::start();
    let mut client = agent.connect();
    let parameters = json!({ "connector": "queue" });
    client.send_call(&json!({ "method": "org.profiler.Worker.Acquire", "parameters": parameters }));
    client.send_call(&json!({ "method": "org.varlink.service.GetInfo" }));
    client.send(b"{\"method\":\"org.varlink.service.");
    wait_until("waiting", || agent.seen.waiting.load(Ordering::SeqCst) == 1);
    agent.connect().assert_served();
    assert!(client.reply().unwrap()["parameters"]["grant"].is_object());
    assert!(client.reply().unwrap()["parameters"]["product"].is_string());
    client.send(b"GetInfo\"}\0");
    assert!(client.reply().unwrap()["parameters"]["product"].is_string());
}

#[test]
fn a_slow_watcher_gets_the_latest_state_and_not_each() {
    let agent = Agent::start();
    let mut client = agent.connect();
    client.send_call(&json!({ "method": "org.profiler.Worker.Watch", "more": true }));
    // While nobody reads, the service goes on; what others are served tells that it has the time.
    thread::sleep(Duration::from_millis(200));
    let mut seen = Vec::new();
    while seen.last() != Some(&u64::from(STATES)) {
        let reply = client.reply().expect("a state");
        seen.push(reply["parameters"]["connectors"][0]["limit"].as_u64().unwrap());
        if seen.len() == 1 {
            wait_until("other calls", || {
                agent.connect().assert_served();
                agent.seen.calls.load(Ordering::SeqCst) > 100
            });
        }
    }
    assert!(seen.is_sorted(), "an older state after a newer one");
    assert!(seen.len() < 5_000, "{} states for a reader that slept", seen.len());
    client.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(client.stream.read(&mut [0]).is_err(), "a state after the last");
}
