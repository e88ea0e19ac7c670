//! A client that knows nothing of us but Varlink: the reference implementation's own, in Rust. What the
//! Python package `varlink` does is among the tests of the Python client.

use profiler_tests::agent::{Agent, short};
use profiler_tests::hand::Hand;
use profiler_tests::require_bpf;
use serde_json::{Value, json};
use varlink::{
    Connection, Error, ErrorKind, MethodCall, OrgVarlinkServiceClient, OrgVarlinkServiceInterface,
};

#[test]
fn a_foreign_client_finds_its_way_and_gets_a_slot_with_the_record_of_its_job() {
    require_bpf!();
    let agent = Agent::start(&[]);
    let hand = Hand::hire();
    let address = format!("unix:{}", agent.folder().join("worker.sock").display());
    let connection = Connection::with_address(&address).expect("a connection");
    let mut service = OrgVarlinkServiceClient::new(connection.clone());
    let info = service.get_info().expect("its name");
    assert!(info.interfaces.iter().any(|name| name == "org.profiler.Worker"), "{info:?}");
    let described = service.get_interface_description("org.profiler.Worker").expect("a text");
    assert!(described.description.is_some_and(|text| text.contains("method Acquire(")));

    let call = |method: &str, parameters: Value| {
        let method = format!("org.profiler.Worker.{method}");
        MethodCall::<Value, Value, Error>::new(connection.clone(), method, parameters)
    };
    hand.work(1);
    let before = hand.cpu_ns();
    let wish = json!({ "connector": "foreign", "scope": "thread", "tid": hand.tid() });
    let acquired = call("Acquire", wish).call().expect("a slot");
    let lease = acquired["grant"]["lease"].as_u64().expect("a lease");
    hand.work(10);
    let after = hand.cpu_ns();
    let released = call("Release", json!({ "lease": lease, "outcome": "succeeded" })).call();
    let usage = released.expect("it is ours")["usage"].take();
    assert_eq!(usage["cpu_ns"], after - before, "{usage}");

    // Errors have names and data, and a call with "more" goes on.
    let refused = call("Release", json!({ "lease": lease })).call().expect_err("it is over");
    let ErrorKind::VarlinkErrorReply(reply) = refused.kind() else { panic!("{refused}") };
    let error = reply.error.clone().unwrap_or_default().into_owned();
    let data = reply.parameters.clone().unwrap_or_default();
    assert_eq!(short(&(error, data)), "NoSuchLease");
    let mut watch = call("Watch", json!({ "connector": "foreign" }));
    let state = watch.more().expect("it may go on").next().expect("the state at once");
    assert_eq!(state.expect("the state")["connectors"][0]["in_use"], 0);
}
