//! No message makes its reader fail otherwise than by an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler_client::interfaces::definition::Interface;
use profiler_client::protocol::{ControlCall, ServiceCall, WorkerCall};
use profiler_client::wire::{Call, Reply};

fuzz_target!(|message: &[u8]| {
    if let Ok(call) = Call::parse(message) {
        let name: &str = &call.method;
        let method = name.rsplit_once('.').map_or(name, |(_, method)| method);
        let _ = WorkerCall::parse(method, call.parameters());
        let _ = ControlCall::parse(method, call.parameters());
        let _ = ServiceCall::parse(method, call.parameters());
    }
    if let Ok(reply) = Reply::parse(message) {
        assert!(!reply.parameters().is_empty());
    }
    if let Ok(text) = std::str::from_utf8(message) {
        let _ = Interface::parse(text);
    }
});
