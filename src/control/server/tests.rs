//! The server over real sockets.

use std::net::Shutdown as Half;

use super::super::client::{AskError, ask};
use super::super::protocol::{Done, Trouble};
use super::*;

/// Answers every reload with "reloaded", everything else with a refusal.
fn handler() -> Handler {
    Arc::new(|request| match request {
        Request::Reload { .. } => {
            Response::Done(Done { text: "reloaded".into(), ..Done::default() }).into()
        }
        _ => refuse(Trouble::Unavailable, "not in this test").into(),
    })
}

struct Place {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run/control.sock");
    Place { _directory: directory, path }
}

fn start(place: &Place) -> Server {
    Server::start_with(&place.path, None, handler(), Duration::from_secs(1)).unwrap()
}

fn reload(place: &Place) -> Result<Response, AskError> {
    ask(&place.path, &Request::Reload { confirm: None, session: None })
}

fn is_reloaded(response: Result<Response, AskError>) -> bool {
    matches!(response, Ok(Response::Done(Done { text, .. })) if text == "reloaded")
}

/// Sends bytes, then nothing more; returns the answers as lines.
fn send(place: &Place, bytes: &[u8]) -> Vec<String> {
    let mut stream = UnixStream::connect(&place.path).unwrap();
    // The server may have heard enough before all is sent.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Half::Write);
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers);
    String::from_utf8(answers).unwrap().lines().map(str::to_owned).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_long_answer_is_a_line_as_any_other() {
    let place = place();
    let long = "x".repeat(10 * PIECE);
    let handler: Handler = {
        let long = long.clone();
        Arc::new(move |request| match request {
            Request::Bans => {
                let long = long.clone();
                Reply::Long(Box::new(move |out| {
                    for piece in long.as_bytes().chunks(1000) {
                        out.write_all(piece)?;
                    }
                    out.write_all(b"\n")
                }))
            }
            other => handler()(other),
        })
    };
    let server = Server::start_with(&place.path, None, handler, Duration::from_secs(5)).unwrap();
    let answers = send(&place, b"{\"ask\":\"bans\"}\n{\"ask\":\"reload\"}\n{\"ask\":\"bans\"}");
    assert!(answers.len() == 3 && answers[0] == long && answers[2] == long);
    assert!(answers[1].contains("reloaded"), "{}", answers[1]);
    server.stop();
}

#[test]
fn asked_and_answered() {
    let place = place();
    let server = start(&place);
    assert_eq!((mode(&place.path), mode(place.path.parent().unwrap())), (0o600, 0o750));
    assert!(is_reloaded(reload(&place)));
    assert_eq!(
        ask(&place.path, &Request::Status).unwrap(),
        refuse(Trouble::Unavailable, "not in this test")
    );
    server.stop();
    assert!(!place.path.exists());
    let error = reload(&place).unwrap_err();
    assert_eq!(error.code(), 69);
    assert!(error.to_string().contains("systemctl start portcullis"), "{error}");
}

#[test]
fn garbage_is_answered_and_does_no_harm() {
    let place = place();
    let server = start(&place);
    let done = r#"{"done":{"changed":0,"text":"reloaded","warnings":[]}}"#;
    let ok = r#"{"ask":"reload"}"#;
    for (bytes, expected) in [
        (&b""[..], &[][..]),
        (b"\n", &["this is no request"]),
        (b"\xff\xfe\0\n", &["this is no request"]),
        (format!("{ok}\n{ok}\nx\n{ok}\n").as_bytes(), &[done, done, "this is no request", done]),
        // No line end, but the end: good enough.
        (ok.as_bytes(), &[done]),
        (&vec![b'['; 200_000], &["the request is longer than 64 KiB"]),
    ] {
        let answers = send(&place, bytes);
        assert_eq!(answers.len(), expected.len(), "{answers:?}");
        for (answer, expected) in answers.iter().zip(expected) {
            assert!(answer.contains(expected), "{answer}");
        }
    }
    assert!(is_reloaded(reload(&place)));
    server.stop();
}

#[test]
fn slow_clients_keep_nobody_waiting() {
    let place = place();
    let server = start(&place);
    let mut dribbling = UnixStream::connect(&place.path).unwrap();
    dribbling.write_all(b"{").unwrap();
    let idle: Vec<UnixStream> =
        (0..CONVERSATIONS - 1).map(|_| UnixStream::connect(&place.path).unwrap()).collect();
    // All seats are taken now: said so at once, to whoever asks.
    let full = reload(&place).unwrap();
    assert!(
        matches!(&full, Response::Error(refusal) if refusal.kind == Trouble::Unavailable),
        "{full:?}"
    );
    // Each byte comes soon enough, the whole request does not.
    let mut closed = false;
    for _ in 0..200 {
        thread::sleep(Duration::from_millis(20));
        if dribbling.write_all(b" ").is_err() {
            closed = true;
            break;
        }
    }
    assert!(closed, "the dribbling client was never cut off");
    for mut stream in idle {
        assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0, "idle clients are sent away");
    }
    assert!(is_reloaded(reload(&place)));
    server.stop();
}

#[test]
fn a_client_that_does_not_read_is_left() {
    let place = place();
    let long = "x".repeat(4_000_000);
    let handler: Handler =
        Arc::new(move |_| Response::Done(Done { text: long.clone(), ..Done::default() }).into());
    let server = Server::start_with(&place.path, None, handler, Duration::from_secs(1)).unwrap();
    let mut deaf = UnixStream::connect(&place.path).unwrap();
    deaf.write_all(b"{\"ask\":\"reload\"}\n").unwrap();
    match reload(&place).expect("long answers arrive whole") {
        Response::Done(done) => assert_eq!(done.text.len(), 4_000_000),
        other => panic!("{other:?}"),
    }
    thread::sleep(Duration::from_millis(1500));
    let mut answer = Vec::new();
    let _ = deaf.read_to_end(&mut answer);
    assert!(answer.len() < 4_000_000, "the server gave up, the rest never came");
    server.stop();
}

#[test]
fn one_at_a_time() {
    let place = place();
    let first = start(&place);
    let second = Server::start(&place.path, None, handler()).unwrap_err();
    assert!(matches!(second, StartError::Running(_)), "{second}");
    assert!(is_reloaded(reload(&place)), "the first is unharmed");

    // Its socket was taken away and another has the place: that one stays when the first stops.
    fs::remove_file(&place.path).unwrap();
    let third = start(&place);
    first.stop();
    assert!(is_reloaded(reload(&place)));
    third.stop();

    // What a crash leaves behind is replaced.
    drop(UnixListener::bind(&place.path).unwrap());
    assert_eq!(reload(&place).unwrap_err().code(), 69);
    start(&place).stop();

    // But nothing else is.
    fs::write(&place.path, "precious").unwrap();
    let error = Server::start(&place.path, None, handler()).unwrap_err();
    assert!(matches!(error, StartError::NotASocket(_)), "{error}");
    assert_eq!(fs::read_to_string(&place.path).unwrap(), "precious");
}

#[test]
fn groups() {
    let place = place();
    let error = Server::start(&place.path, Some("no such group"), handler()).unwrap_err();
    assert!(error.to_string().contains("groupadd"), "{error}");
    // Our own group can be given by anybody.
    let own = rustix::process::getegid().as_raw();
    let server = Server::start(&place.path, Some(&own.to_string()), handler()).unwrap();
    assert_eq!((mode(&place.path), fs::metadata(&place.path).unwrap().gid()), (0o660, own));
    server.stop();
}

#[test]
fn strangers_are_kept_out() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED strangers_are_kept_out: only root can act as somebody else");
        return;
    }
    let place = place();
    let as_stranger = |path: PathBuf| {
        let stranger = thread::spawn(move || {
            rustix::thread::set_thread_res_uid(
                rustix::process::Uid::from_raw(65_534),
                rustix::process::Uid::from_raw(65_534),
                rustix::process::Uid::from_raw(65_534),
            )
            .unwrap();
            ask(&path, &Request::Reload { confirm: None, session: None })
        });
        stranger.join().unwrap()
    };
    let server = start(&place);
    let error = as_stranger(place.path.clone()).unwrap_err();
    assert_eq!(error.code(), 77, "{error}");
    // Somebody opened the way by mistake: the server still asks the kernel who it is.
    for directory in place.path.ancestors().skip(1).take(2) {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(&place.path, fs::Permissions::from_mode(0o666)).unwrap();
    let response = as_stranger(place.path.clone()).unwrap();
    assert!(
        matches!(&response, Response::Error(refusal) if refusal.kind == Trouble::Permission),
        "{response:?}"
    );
    server.stop();
}

#[test]
fn the_most_peers_fit_into_a_request() {
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap();
    let addresses = vec![longest; super::super::protocol::MOST_PEERS];
    let line = serde_json::to_vec(&Request::Standings { addresses }).unwrap();
    assert!((line.len() as u64) < super::LONGEST_REQUEST, "{}", line.len());
}
