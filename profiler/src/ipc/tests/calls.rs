//! Calls as they should be.

use super::*;

#[test]
fn a_slot_is_acquired_and_released() {
    let agent = Agent::start();
    agent.connect().assert_served();
}

#[test]
fn who_calls_is_known_from_the_kernel() {
    let agent = Agent::start();
    agent.connect().assert_served();
    let me = rustix::process::getuid().as_raw();
    assert_eq!(agent.seen.uid.load(Ordering::SeqCst), usize::try_from(me).unwrap());
    assert_eq!(agent.seen.pid.load(Ordering::SeqCst), usize::try_from(process::id()).unwrap());
}

#[test]
fn calls_sent_at_once_are_answered_in_their_order() {
    let agent = Agent::start();
    let mut client = agent.connect();
    let calls: String = (0..500)
        .map(|number| {
            let method = "org.profiler.Worker.Acquire";
            json!({ "method": method, "parameters": { "connector": number.to_string() } })
                .to_string()
                + "\0"
        })
        .collect();
    client.send(calls.as_bytes());
    for number in 0..500 {
        let reply = client.reply().unwrap();
        assert_eq!(reply["parameters"]["grant"]["connector"], number.to_string());
    }
}

#[test]
fn a_call_in_single_bytes_is_a_call() {
    let agent = Agent::start();
    let mut client = agent.connect();
    for byte in b"{\"method\":\"org.varlink.service.GetInfo\"}\0" {
        client.send(&[*byte]);
        thread::sleep(Duration::from_micros(100));
    }
    assert_eq!(client.reply().unwrap()["parameters"]["product"], "profiler agent");
}

#[test]
fn each_socket_tells_what_it_serves() {
    let agent = Agent::start();
    for (socket, served, other) in [
        ("worker", "org.profiler.Worker", "org.profiler.Control"),
        ("control", "org.profiler.Control", "org.profiler.Worker"),
    ] {
        let mut client = Client::at(agent.folder.join(socket));
        let info = client.call("org.varlink.service.GetInfo", &json!({}));
        assert_eq!(info["parameters"]["interfaces"], json!(["org.varlink.service", served]));
        let mut describe = |interface: &str| {
            let method = "org.varlink.service.GetInterfaceDescription";
            client.call(method, &json!({ "interface": interface }))
        };
        for interface in ["org.varlink.service", served] {
            let reply = describe(interface);
            let text = reply["parameters"]["description"].as_str().unwrap();
            assert!(text.contains(&format!("interface {interface}\n")), "{text}");
        }
        let missing = describe(other);
        assert_eq!(
            error(&missing),
            ("org.varlink.service.InterfaceNotFound", &json!({ "interface": other }))
        );
    }
}

#[test]
fn a_oneway_call_is_done_and_not_answered() {
    let agent = Agent::start();
    let mut client = agent.connect();
    let method = "org.profiler.Worker.Release";
    for lease in [1, 0] {
        let parameters = json!({ "lease": lease });
        client.send_call(&json!({ "method": method, "parameters": parameters, "oneway": true }));
    }
    let info = client.call("org.varlink.service.GetInfo", &json!({}));
    assert!(info["parameters"]["version"].is_string(), "{info}");
    assert_eq!(agent.seen.calls.load(Ordering::SeqCst), 2);
}

#[test]
fn what_is_wrong_with_a_call_is_told_and_the_connection_goes_on() {
    let agent = Agent::start();
    let mut client = agent.connect();
    let invalid = "org.varlink.service.InvalidParameter";
    let cases = [
        ("org.profiler.Worker.Acquire", json!({}), invalid, json!({ "parameter": "connector" })),
        (
            "org.profiler.Worker.Acquire",
            json!({ "connector": 5 }),
            invalid,
            json!({ "parameter": "connector" }),
        ),
        (
            "org.profiler.Worker.Acquire",
            json!({ "connector": "a", "urgent": true }),
            invalid,
            json!({ "parameter": "urgent" }),
        ),
        (
            "org.profiler.Worker.Dance",
            json!({}),
            "org.varlink.service.MethodNotFound",
            json!({ "method": "org.profiler.Worker.Dance" }),
        ),
        (
            "org.profiler.Control.Status",
            json!({}),
            "org.varlink.service.InterfaceNotFound",
            json!({ "interface": "org.profiler.Control" }),
        ),
        (
            "nonsense",
            json!({}),
            "org.varlink.service.InterfaceNotFound",
            json!({ "interface": "nonsense" }),
        ),
        (
            "org.profiler.Worker.Release",
            json!({ "lease": 0 }),
            "org.profiler.Worker.NoSuchLease",
            json!({ "lease": 0 }),
        ),
    ];
    for (method, parameters, name, data) in cases {
        let reply = client.call(method, &parameters);
        assert_eq!(error(&reply), (name, &data), "{method} {parameters}");
    }
    client.send_call(&json!({ "method": "org.profiler.Worker.Watch", "upgrade": true }));
    assert_eq!(error(&client.reply().unwrap()), (invalid, &json!({ "parameter": "upgrade" })));
    client.assert_served();
}

#[test]
fn the_end_of_a_connection_is_told_to_the_service() {
    let agent = Agent::start();
    let mut client = agent.connect();
    client.assert_served();
    assert_eq!(agent.seen.closed.load(Ordering::SeqCst), 0);
    drop(client);
    wait_until("closed", || agent.seen.closed.load(Ordering::SeqCst) == 1);
}
