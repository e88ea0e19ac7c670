#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| profiler_client_fuzz::frames(input));
