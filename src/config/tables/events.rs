//! `[events]` and `[control]`: who is told, and who may ask.

use std::time::Duration;

use crate::config::section::Section;
use crate::config::settings::{Control, Events, Facility, LogTarget, SyslogFormat};
use crate::config::units::Mistake;

pub(super) fn events(table: &mut Section<'_, '_>) -> Events {
    let default = Events::default();
    let targets = [
        ("auto", LogTarget::Auto),
        ("stderr", LogTarget::Stderr),
        ("journal", LogTarget::Journal),
        ("syslog", LogTarget::Syslog),
        ("nowhere", LogTarget::Nowhere),
    ];
    let formats = [("rfc3164", SyslogFormat::Rfc3164), ("rfc5424", SyslogFormat::Rfc5424)];
    let facilities = [
        ("daemon", Facility::Daemon),
        ("auth", Facility::Auth),
        ("authpriv", Facility::AuthPriv),
        ("local0", Facility::Local0),
        ("local1", Facility::Local1),
        ("local2", Facility::Local2),
        ("local3", Facility::Local3),
        ("local4", Facility::Local4),
        ("local5", Facility::Local5),
        ("local6", Facility::Local6),
        ("local7", Facility::Local7),
    ];
    let every = Duration::from_secs(1)..=Duration::from_secs(3600);
    let wanted = ("a socket or server", "\"/dev/log\"");
    Events {
        to: table.word("to", default.to, &targets),
        format: table.word("format", default.format, &formats),
        facility: table.word("facility", default.facility, &facilities),
        syslog: table.text("syslog", default.syslog, wanted, syslog),
        json: table.optional_path("json", "\"/var/log/portcullis/events.json\""),
        lines: table.number("lines", default.lines, 1..=1000),
        every: table.duration("every", default.every, every),
    }
}

/// A path, or `udp:HOST:PORT`.
fn syslog(text: &str) -> Result<String, Mistake> {
    let server = text.strip_prefix("udp:").and_then(|server| server.rsplit_once(':'));
    let fine = match server {
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0),
        None => text.starts_with('/') && !text.contains('\0'),
    };
    fine.then(|| text.to_owned()).ok_or_else(|| {
        Mistake::new(format!("\"{}\" is no syslog socket or server", text.escape_debug()))
            .help("write a path, \"/dev/log\", or \"udp:HOST:PORT\", \"udp:192.0.2.1:514\"")
    })
}

pub(super) fn control(table: &mut Section<'_, '_>) -> Control {
    let default = Control::default();
    let socket = table.path("socket", &default.socket);
    // sockaddr_un has room for 107 bytes and a zero.
    if socket.as_os_str().len() > 107 {
        let mistake = Mistake::new("the socket's path is too long for the kernel")
            .help("use a path of at most 107 bytes");
        table.error(&["socket"], mistake);
    }
    let group =
        table.text("group", default.group, ("a group's name", "\"adm\""), |text| {
            match text.trim() {
                "" => Ok(None),
                name if name.contains([':', '/', '\0', '\n', ' ']) => {
                    Err(Mistake::new(format!("\"{}\" is no group's name", name.escape_debug())))
                }
                name => Ok(Some(name.to_owned())),
            }
        });
    Control { socket, group }
}
