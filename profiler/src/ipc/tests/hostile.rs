//! Clients that break the protocol, or the peace.

use std::os::fd::AsRawFd;

use super::*;

const INVALID: &str = "org.varlink.service.InvalidParameter";

/// The bytes get an error, and the end; a neighbour is served before and after.
fn assert_cut(agent: &Agent, bytes: &[u8]) {
    let mut neighbour = agent.connect();
    neighbour.assert_served();
    let mut client = agent.connect();
    // It may be cut off before all is sent.
    let _ = client.stream.write_all(bytes);
    let reply = client.reply().expect("an error before the end");
    assert_eq!(error(&reply).0, INVALID);
    assert_eq!(client.reply(), None, "the end");
    neighbour.assert_served();
}

#[test]
fn what_is_no_call_gets_an_error_and_the_end() {
    let agent = Agent::start();
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n\0".as_slice(),
        b"\0",
        b"null\0",
        b"[]\0",
        b"{\"method\":7}\0",
        b"{\"method\":\"a.b\",\"method\":\"a.b\"}\0",
        b"{\"method\":\"org.profiler.Worker.Acquire\",\"parameters\":[1]}\0",
        b"{\"method\":\"\xc3\x28\"}\0",
        b"\xff\xfe\x00\x00",
    ] {
        assert_cut(&agent, bytes);
    }
}

#[test]
fn nesting_has_a_limit() {
    let agent = Agent::start();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!(
            "{{\"method\":\"org.profiler.Worker.Hint\",\"parameters\":{{\"connector\":{}1{}}}}}\0",
            open.repeat(10_000),
            close.repeat(10_000)
        );
        assert_cut(&agent, nested.as_bytes());
    }
}

#[test]
fn a_message_has_a_limit_to_the_byte() {
    let agent = Agent::start();
    let message = |length: usize| {
        let begin = "{\"method\":\"org.profiler.Worker.Acquire\",\"parameters\":{\"connector\":\"";
        let end = "\"}}\0";
        let connector = "c".repeat(length - (begin.len() + end.len() - 1));
        format!("{begin}{connector}{end}")
    };
    let mut client = agent.connect();
    client.send(message(65_536).as_bytes());
    assert!(client.reply().unwrap()["parameters"]["grant"]["lease"].is_u64());
    assert_cut(&agent, message(65_537).as_bytes());
    // Without an end, too.
    assert_cut(&agent, &vec![b' '; 65_537]);
}

fn impatient() -> Limits {
    Limits {
        write_timeout: Duration::from_millis(200),
        message_timeout: Duration::from_millis(200),
        ..Limits::default()
    }
}

#[test]
fn half_a_message_and_silence_is_cut_off_and_silence_alone_is_not() {
    let agent = Agent::with(impatient());
    let (mut silent, mut client) = (agent.connect(), agent.connect());
    silent.assert_served();
    client.assert_served();
    client.send(b"{\"method\":");
    assert_eq!(client.reply(), None, "the end");
    thread::sleep(Duration::from_millis(100));
    silent.assert_served();
}

#[test]
fn a_message_in_drops_is_cut_off_too() {
    let agent = Agent::with(impatient());
    let mut client = agent.connect();
    let begin = Instant::now();
    // A space every 20 ms is a message that never ends.
    while client.stream.write_all(b" ").is_ok() {
        assert!(begin.elapsed() < PATIENCE, "still there");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(begin.elapsed() >= Duration::from_millis(150), "cut off early");
}

#[test]
fn who_never_reads_is_cut_off_and_others_are_served() {
    let agent = Agent::with(impatient());
    let mut client = agent.connect();
    client.stream.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
    let call =
        b"{\"method\":\"org.profiler.Worker.Peek\",\"parameters\":{\"lease\":1}}\0".repeat(100);
    let begin = Instant::now();
    let mut neighbour = agent.connect();
    loop {
        match client.stream.write(&call) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        neighbour.assert_served();
        assert!(begin.elapsed() < PATIENCE, "still there");
    }
    wait_until("closed", || agent.seen.closed.load(Ordering::SeqCst) == 1);
}

#[test]
fn too_much_behind_a_call_that_waits_is_cut_off() {
    let agent = Agent::start();
    let mut client = agent.connect();
    client.send_call(
        &json!({ "method": "org.profiler.Worker.Acquire", "parameters": { "connector": "queue" } }),
    );
    let call = b"{\"method\":\"org.varlink.service.GetInfo\"}\0".repeat(1000);
    let begin = Instant::now();
    while client.stream.write_all(&call).is_ok() {
        assert!(begin.elapsed() < PATIENCE, "still there");
    }
    wait_until("gone", || agent.seen.waiting.load(Ordering::SeqCst) == 0);
    agent.connect().assert_served();
}

#[test]
fn one_user_has_so_many_connections_and_another_has_his() {
    let agent = Agent::with(Limits { connections_per_uid: 300, ..Limits::default() });
    let mut clients: Vec<Client> = (0..300).map(|_| agent.connect()).collect();
    for client in &mut clients {
        client.assert_served();
    }
    for _ in 0..2_000 {
        let reply = agent.connect().reply().expect("an error before the end");
        let data = json!({ "what": "connections", "limit": 300 });
        assert_eq!(error(&reply), ("org.profiler.Worker.TooMany", &data));
    }
    clients[299].assert_served();
    if rustix::process::geteuid().is_root() {
        let path = agent.folder.join("worker");
        let other = thread::spawn(move || {
            // SAFETY: changes the user of this thread alone, and it ends with this closure.
            let changed = unsafe { libc::syscall(libc::SYS_setresuid, 12345, 12345, 12345) };
            assert_eq!(changed, 0);
            Client::at(path).assert_served();
        });
        other.join().unwrap();
        assert_eq!(agent.seen.uid.load(Ordering::SeqCst), 12345);
    }
    drop(clients.pop());
    wait_until("a place", || agent.seen.closed.load(Ordering::SeqCst) > 0);
    agent.connect().assert_served();
}

#[test]
fn descriptors_that_come_along_are_not_kept() {
    let agent = Agent::start();
    let mut client = agent.connect();
    let path = agent.folder.join("sent");
    let file = fs::File::create(&path).unwrap();
    for _ in 0..200 {
        let call = b"{\"method\":\"org.varlink.service.GetInfo\"}\0";
        send_with_descriptor(&client.stream, call, file.as_raw_fd());
        assert!(client.reply().unwrap()["parameters"]["product"].is_string());
    }
    let open = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.ok()?.path().read_link().ok());
    assert_eq!(open.filter(|target| *target == path).count(), 1, "only ours is open");
}

/// Sends bytes, and a descriptor with them.
fn send_with_descriptor(stream: &UnixStream, bytes: &[u8], fd: i32) {
    let mut control = [0_u64; 4];
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: zeros are a valid message header.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut part, 1);
    message.msg_control = control.as_mut_ptr().cast();
    // SAFETY: only computes a length.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(4) } as usize;
    // SAFETY: only looks for the place in the buffer that the message names.
    let place = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: the buffer is aligned and long enough for a header and one descriptor.
    let header = unsafe { &mut *place };
    header.cmsg_level = libc::SOL_SOCKET;
    header.cmsg_type = libc::SCM_RIGHTS;
    // SAFETY: only computes a length.
    header.cmsg_len = unsafe { libc::CMSG_LEN(4) } as usize;
    // SAFETY: only computes a place behind the header.
    let data = unsafe { libc::CMSG_DATA(place) }.cast::<i32>();
    // SAFETY: there is room for one descriptor.
    unsafe { data.write_unaligned(fd) };
    // SAFETY: everything that the header names lives here.
    let sent = unsafe { libc::sendmsg(stream.as_raw_fd(), &raw const message, 0) };
    assert_eq!(usize::try_from(sent), Ok(bytes.len()));
}

#[test]
fn random_bytes_never_harm_the_agent() {
    let agent = Agent::start();
    let mut neighbour = agent.connect();
    // A linear congruential generator: the same bytes every time.
    let mut state = 42_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33).to_le_bytes()[0]
    };
    let pieces: [&[u8]; 8] = [
        b"{\"method\":\"org.profiler.Worker.Acquire\",\"parameters\":",
        b"{\"connector\":\"a\"}",
        b"}\0",
        b",\"more\":true",
        b"\0",
        b"\"",
        b"[",
        b"{",
    ];
    for _ in 0..300 {
        let mut bytes = Vec::new();
        for _ in 0..random() % 16 {
            match random() {
                choice @ 0..200 => bytes.extend(pieces[usize::from(choice % 8)]),
                byte => bytes.push(byte),
            }
        }
        let mut client = agent.connect();
        let _ = client.stream.write_all(&bytes);
        let _ = client.stream.shutdown(std::net::Shutdown::Write);
        while client.reply().is_some() {}
    }
    neighbour.assert_served();
}
