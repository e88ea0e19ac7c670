//! The client has a usage record of its own, so that it is light. It must be the product's.

use profiler::model;
use profiler_client::protocol;

/// The names of a JSON object's fields, in their order.
fn fields(json: &str) -> Vec<String> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(json).unwrap_or_default();
    let mut names: Vec<String> = object.keys().cloned().collect();
    names.sort_by_key(|name| json.find(&format!("\"{name}\":")));
    names
}

#[test]
fn the_client_knows_exactly_the_figures_that_the_agent_sends() {
    let ours = serde_json::to_string(&model::Usage::unknown(model::Source::Ebpf)).unwrap();
    let theirs = serde_json::to_string(&protocol::Usage::default()).unwrap();
    assert!(fields(&ours).len() > 30, "{ours}");
    assert_eq!(fields(&ours), fields(&theirs));
}

#[test]
fn every_figure_arrives_at_the_client_as_it_was_sent() {
    // A different number for every figure.
    let mut sent = serde_json::to_value(model::Usage::unknown(model::Source::Procfs)).unwrap();
    for (number, figure) in (1_u64..).zip(sent.as_object_mut().unwrap().values_mut()) {
        if figure.is_null() {
            *figure = number.into();
        }
    }
    sent["device_latency_us"] = serde_json::json!({ "p50": 1, "p95": 2, "p99": 3, "max": 4 });
    sent["lost"] = serde_json::json!({ "tasks_full": 5 });
    let ours: model::Usage = serde_json::from_value(sent).unwrap();
    let theirs: protocol::Usage =
        serde_json::from_value(serde_json::to_value(&ours).unwrap()).unwrap();
    assert_eq!(serde_json::to_value(&ours).unwrap(), serde_json::to_value(&theirs).unwrap());
}
