//! What was written down is done again.

use super::*;

/// A life of a core with three connectors, as a list of what it is told.
fn history(seed: u64) -> Vec<(Moment, Event)> {
    let mut state = seed;
    let mut next = move |below: u64| {
        // xorshift64*: any sequence does, as long as it is the same each time.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    };
    let mut core = core(&[Partial::default(), Partial::default(), Partial::default()]);
    let mut events = Vec::new();
    for tick in 1..400u64 {
        let now = at(tick * 250);
        for _ in 0..next(4) {
            let connector = ConnectorId(u32::try_from(next(3)).unwrap());
            let max_wait = (next(2) == 0).then(|| Duration::from_millis(next(9000)));
            let request = Request {
                connector,
                max_wait,
                on_timeout: OnTimeout::Refuse,
                ..Request::default()
            };
            events.push((now, Event::Request(request)));
        }
        let leases: Vec<_> = core.ledger().leases().map(|l| (l.id, l.connector)).collect();
        let mut jobs = Vec::new();
        for (lease, connector) in leases {
            if next(12) == 0 {
                let finished = FinishedJob {
                    lease,
                    connector,
                    duration: Duration::from_millis(next(20_000)),
                    memory_peak: Some(Bytes(next(GIB / 8))),
                    ..FinishedJob::default()
                };
                events.push((now, Event::Release { lease, finished: Some(finished) }));
                continue;
            }
            let cpu = Duration::from_millis(next(200));
            jobs.push(JobSample {
                lease,
                connector,
                interval: Duration::from_millis(250),
                cpu,
                life: Duration::from_millis(250),
                device_bytes: Some(next(1 << 20)),
                memory: Some(Bytes(next(GIB / 8))),
                ..JobSample::default()
            });
        }
        let host = HostSample {
            interval: Duration::from_millis(250),
            cores: 8.0,
            busy: Duration::from_millis(next(2000)),
            memory_total: Bytes(16 * GIB),
            memory_available: Bytes((8 + next(8)) * GIB),
            ..HostSample::default()
        };
        events.push((now, Event::Sample { host, jobs }));
        for (moment, event) in events.iter().filter(|(moment, _)| *moment == now) {
            core.handle(*moment, event.clone()).unwrap();
        }
    }
    events
}

fn tell(events: &[(Moment, Event)]) -> Vec<Effect> {
    let mut core = core(&[Partial::default(), Partial::default(), Partial::default()]);
    let mut effects = Vec::new();
    for (moment, event) in events {
        core.handle(*moment, event.clone()).unwrap();
        effects.extend(core.effects());
    }
    effects
}

#[test]
fn what_was_written_down_is_done_again_bit_for_bit() {
    for seed in 1..5 {
        let events = history(seed);
        let first = tell(&events);
        assert!(first.iter().any(|effect| matches!(effect, Effect::Decided(_))));
        let text = serde_json::to_string(&events).unwrap();
        let read: Vec<(Moment, Event)> = serde_json::from_str(&text).unwrap();
        let again = tell(&read);
        assert_eq!(
            serde_json::to_string(&first).unwrap(),
            serde_json::to_string(&again).unwrap(),
            "seed {seed}"
        );
    }
}
