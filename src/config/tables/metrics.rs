//! `[metrics]`: numbers for Prometheus and its kin.

use std::net::SocketAddr;
use std::time::Duration;

use crate::config::section::Section;
use crate::config::settings::Metrics;
use crate::config::units::Mistake;

/// What node_exporter reads; it passes over files with another ending.
const ENDING: &str = "prom";

pub(super) fn metrics(table: &mut Section<'_, '_>) -> Metrics {
    let default = Metrics::default();
    let wanted = ("an address with a port", "\"127.0.0.1:9917\"");
    let listen = table.text("listen", default.listen, wanted, address);
    let remote = table.boolean("remote", default.remote);
    if let Some(listen) = listen.filter(|listen| !remote && !of_this_host_only(listen)) {
        let mistake = Mistake::new(format!("other machines can reach {listen}"))
            .help("listen to 127.0.0.1 or [::1], or say that you mean it: remote = true");
        table.error(&["listen"], mistake);
    }
    let textfile = table.optional_path("textfile", "\"/var/lib/node_exporter/portcullis.prom\"");
    if textfile.as_ref().is_some_and(|path| path.extension().is_none_or(|end| end != ENDING)) {
        let mistake = Mistake::new("node_exporter reads only files whose names end in .prom")
            .help("for example: textfile = \"/var/lib/node_exporter/portcullis.prom\"");
        table.error(&["textfile"], mistake);
    }
    let every = Duration::from_secs(1)..=Duration::from_secs(3600);
    Metrics { listen, remote, textfile, every: table.duration("every", default.every, every) }
}

/// An address with a port, or `""` for none.
fn address(text: &str) -> Result<Option<SocketAddr>, Mistake> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let address = text.trim().parse::<SocketAddr>().ok().filter(|address| address.port() > 0);
    address.map(Some).ok_or_else(|| {
        Mistake::new(format!("\"{}\" is no address with a port", text.escape_debug()))
            .help("write \"127.0.0.1:9917\" or \"[::1]:9917\"; names are not looked up")
    })
}

fn of_this_host_only(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::parse;

    #[test]
    fn where_numbers_may_be_served() {
        for (written, good) in [
            ("\"\"", true),
            ("\"127.0.0.1:9917\"", true),
            ("\" [::1]:9917 \"", true),
            ("\"127.9.9.9:1\"", true),
            ("\"[::ffff:127.0.0.1]:9917\"", true),
            ("\"0.0.0.0:9917\"\nremote = true", true),
            ("\"192.0.2.1:9917\"\nremote = true", true),
            ("\"127.0.0.1:9917\"\nremote = true", true),
            ("\"0.0.0.0:9917\"", false),
            ("\"[::]:9917\"", false),
            ("\"192.0.2.1:9917\"\nremote = false", false),
            ("\"[::ffff:192.0.2.1]:9917\"", false),
            ("\"127.0.0.1:0\"", false),
            ("\"127.0.0.1\"", false),
            ("\"localhost:9917\"", false),
            ("9917", false),
        ] {
            let read = parse(&format!("[metrics]\nlisten = {written}"), "f");
            assert_eq!(read.is_ok(), good, "{written}: {read:?}");
            if let Err(errors) = read {
                let problem = &errors.problems[0];
                assert_eq!((errors.problems.len(), problem.line), (1, 2), "{written}: {errors}");
            }
        }
    }

    #[test]
    fn where_they_may_be_written() {
        let read = |path: &str| parse(&format!("[metrics]\ntextfile = \"{path}\""), "f");
        let metrics = read("/a/b.prom").unwrap().config.metrics;
        assert_eq!(metrics.textfile.as_deref(), Some(Path::new("/a/b.prom")));
        assert_eq!(read("").unwrap().config.metrics.textfile, None);
        for bad in ["b.prom", "/a/b.txt", "/a/.prom", "/a/b.prom.tmp"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
