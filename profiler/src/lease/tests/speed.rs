//! How long an admission takes.

use std::time::Instant;

use super::*;

/// Fifty connectors, a thousand who wait; one job ends and another asks.
fn pair(memory_is_short: bool) -> Duration {
    let limit = if memory_is_short { 1000 } else { 10 };
    let mut ledger = ledger(&[limit; 50]);
    ledger.set_budget(Bytes(if memory_is_short { 500 * MIB } else { u64::MAX }));
    for connector in 0..50 {
        ledger.set_need(ConnectorId(connector), Bytes(MIB), Bytes(MIB / 16)).unwrap();
    }
    for n in 0..1500 {
        ledger.request(at(n / 100), of(u32::try_from(n % 50).unwrap())).unwrap();
    }
    let mut running: std::collections::VecDeque<_> =
        granted(&mut ledger).into_iter().map(|grant| grant.lease).collect();
    // The shortest of many short stretches: one in which nobody else had the CPU.
    let mut best = Duration::MAX;
    for stretch in 0..100 {
        let start = Instant::now();
        for n in 0..200 {
            let now = at(100) + Duration::from_nanos(stretch * 200 + n);
            ledger.release(now, running.pop_front().unwrap()).unwrap();
            ledger.request(now, of(u32::try_from(n % 50).unwrap())).unwrap();
            for effect in ledger.effects() {
                if let Effect::Granted(grant) = effect {
                    running.push_back(grant.lease);
                }
            }
        }
        best = best.min(start.elapsed() / 200);
    }
    best
}

#[test]
fn an_admission_takes_microseconds_even_with_a_thousand_who_wait() {
    for memory_is_short in [false, true] {
        let best = pair(memory_is_short);
        println!("release and request, memory short {memory_is_short}: {best:?}");
        // The bar is 2 us for the product as it is built for use; this is a build for tests.
        assert!(best < Duration::from_micros(20), "{best:?}");
    }
}
