use std::net::Ipv4Addr;
use std::thread;

use super::super::sample;
use super::*;

const HURRY: Duration = Duration::from_millis(300);
const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn start(patience: Duration) -> (Server, SocketAddr) {
    let recent = Arc::new(Recent::new(sample::facts));
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let server = Server::start_with(any, recent, patience).unwrap();
    let address = server.doorman.door().local_addr().unwrap();
    (server, address)
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Says something and hears everything that is answered.
fn ask(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn everybody_gets_an_answer() {
    let (server, address) = start(PATIENCE);
    let long = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &[b'x'; 2 * LONGEST]].concat();
    for (bytes, status) in [
        (GET, "200 OK"),
        (b"GET /metrics HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", "200 OK"),
        (b"GET /favicon.ico HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"DELETE /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        (b"\x16\x03\x01\x02\x00", "400 Bad Request"),
        (&long, "431 Request Header Fields Too Large"),
    ] {
        let answer = ask(address, bytes);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{answer}");
        assert_eq!(body.ends_with("\n# EOF\n"), status == "200 OK", "{answer}");
    }
    server.stop();
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn who_dribbles_is_cut_off_and_keeps_nobody_waiting() {
    let (server, address) = start(HURRY);
    let mut slow = connect(address);
    let begun = Instant::now();
    // Each byte in good time; all of them never.
    let cut = (0..1000).find(|n| {
        thread::sleep(HURRY / 20);
        slow.write_all(&GET[n % 4..][..1]).is_err()
    });
    assert!(cut.is_some() && begun.elapsed() < 20 * HURRY, "{cut:?} after {:?}", begun.elapsed());
    // One that never reads its answer, and one that says nothing.
    let mut deaf = connect(address);
    deaf.write_all(GET).unwrap();
    let _silent = connect(address);
    assert!(ask(address, GET).ends_with("# EOF\n"));
    server.stop();
}

#[test]
fn too_many_are_turned_away_until_the_first_are_gone() {
    // Long enough for a busy machine to let all of them in before the first is cut off.
    let (server, address) = start(Duration::from_secs(2));
    let silent: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(address)).collect();
    // They are answered in the order in which they come, so this one comes too late.
    let mut answer = String::new();
    connect(address).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    for mut client in silent {
        let mut nothing = Vec::new();
        client.read_to_end(&mut nothing).unwrap();
        assert!(nothing.is_empty(), "they said nothing and were told nothing");
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while !ask_or_nothing(address).ends_with("# EOF\n") {
        assert!(Instant::now() < deadline, "the seats are free again");
    }
    server.stop();
}

/// As [`ask`], by a client that may be turned away while it still talks.
fn ask_or_nothing(address: SocketAddr) -> String {
    let mut stream = connect(address);
    let mut answer = String::new();
    let _ = stream.write_all(GET).and_then(|()| stream.read_to_string(&mut answer));
    answer
}

#[test]
fn an_address_can_be_taken_or_not_be_there_yet() {
    let (server, address) = start(PATIENCE);
    let recent = || Arc::new(Recent::new(sample::facts));
    let taken = Server::start(address, recent()).unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    server.stop();
    for later in ["192.0.2.77:19917", "[2001:db8::77]:19917"] {
        Server::start(later.parse().unwrap(), recent()).unwrap().stop();
    }
}
