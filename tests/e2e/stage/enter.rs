//! One test, started again inside fresh namespaces.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use portcullis::lab;

use super::programs::{SKIPPED, tell};

/// No test may take longer.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `body` inside fresh namespaces: there, directly; outside, by starting this very test
/// again in there. `path` is the test's full name as the compiler sees it.
pub(crate) fn inside(path: &str, body: impl FnOnce()) {
    if lab::is_inside() {
        return body();
    }
    // The test harness knows tests without the name of the crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    let program = std::env::current_exe().expect("the test program has a path");
    let args = ["--exact", name, "--nocapture", "--test-threads=1"];
    let mut command = lab::command_inside(program.as_os_str(), args.map(Into::into))
        .unwrap_or_else(|error| panic!("this test needs a private network: {error}"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // The outer test shows a trace if one is wanted; the inner one would only repeat it.
    command.env("RUST_BACKTRACE", "0");
    let mut child = command.spawn().expect("unshare starts");
    let said = [reader(child.stdout.take()), reader(child.stderr.take())];
    let ended = wait(&mut child);
    let said = said.map(|thread| thread.join().expect("a reader never panics"));
    match ended {
        // What it measured is seen with --nocapture; what it skipped, in any case.
        Some(true) if said[0].contains("1 passed") => {
            print!("{}", said[0]);
            said[1].lines().filter(|line| line.starts_with(SKIPPED)).for_each(tell);
        }
        Some(true) => panic!("{name} did not run inside the namespaces:\n{}", said[0]),
        Some(false) => panic!("inside the namespaces:\n{}\n{}", said[0], said[1]),
        None => panic!("not finished after {LIMIT:?}:\n{}\n{}", said[0], said[1]),
    }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut said);
        }
        String::from_utf8_lossy(&said).into_owned()
    })
}

/// Did it succeed? `None` if it had to be killed.
fn wait(child: &mut Child) -> Option<bool> {
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status.success());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}
