//! The web's own programs: nginx as a server, and what wrk says of a load.

use std::fs;
use std::process::Stdio;

use portcullis::lab::{Host, Process};

/// Starts nginx on this host, with files of its own. It answers each request with a few bytes;
/// `listens` is where, in its own words.
pub(crate) fn nginx(host: &Host, listens: &str) -> Process {
    let own = |what: &str| format!("/run/nginx-{}.{what}", host.name());
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {};\n", own(kind)))
        .concat();
    let conf = format!(
        r#"
daemon off;
user root;
master_process off;
pid {};
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 10000000;
{folders}    server {{
        {listens}
        location / {{ return 200 "welcome\n"; }}
    }}
}}
"#,
        own("pid")
    );
    fs::write(own("conf"), conf).expect("a file");
    let mut nginx = host.command("nginx");
    nginx.args(["-c", &own("conf"), "-e", &own("error")]).stderr(Stdio::null());
    Process::start(&mut nginx).expect("nsenter starts")
}

/// What wrk saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wrk {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
}

impl Wrk {
    /// Reads its report; `None` if it is none. It mentions errors only if there are some.
    pub(crate) fn read(said: &str) -> Option<Self> {
        let (mut requests, mut failed) = (None, 0);
        for line in said.lines().map(str::trim) {
            if let Some((count, _)) = line.split_once(" requests in ") {
                requests = count.parse().ok();
            } else if let Some(errors) = line.strip_prefix("Socket errors:") {
                let numbers = errors.split(|c: char| !c.is_ascii_digit());
                failed += numbers.filter_map(|word| word.parse::<u64>().ok()).sum::<u64>();
            } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
                failed += count.trim().parse::<u64>().ok()?;
            }
        }
        Some(Self { requests: requests?, failed })
    }
}
