//! Records to syslog.

use std::fmt::Write as _;
use std::io;
use std::net::ToSocketAddrs;

use jiff::{Timestamp, tz::TimeZone};
use syslog::{LogFormat, Logger, LoggerBackend, Severity};

use super::super::Level;
use super::super::line::{LONGEST_TEXT, Line, Plain, is_seen};
use super::super::record::{Record, Value};
use super::{Output, PATIENCE};
use crate::config::{Events, Facility, SyslogFormat};

/// The name of our structured data (RFC 5424 §6.3.2). 32473 is the enterprise number set aside
/// for documentation (RFC 5612): the project has none of its own.
const STRUCTURED_DATA: &str = "portcullis@32473";

/// What a connection to syslog is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    /// A path, or `udp:HOST:PORT`.
    pub(super) address: String,
    format: SyslogFormat,
    facility: Facility,
}

impl Settings {
    pub(super) fn of(config: &Events) -> Self {
        let Events { syslog, format, facility, .. } = config;
        Self { address: syslog.clone(), format: *format, facility: *facility }
    }
}

/// A connection to syslog.
pub(super) struct Syslog(Logger<LoggerBackend, Form>);

impl Syslog {
    pub(super) fn open(settings: &Settings) -> io::Result<Self> {
        let form = |host| Form {
            format: settings.format,
            facility: settings.facility.number() << 3,
            host,
            pid: std::process::id(),
            zone: TimeZone::system(),
        };
        let logger = if let Some(server) = settings.address.strip_prefix("udp:") {
            let server = server.to_socket_addrs()?.next().ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("{server} has no address"))
            })?;
            let local = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            syslog::udp(form(Some(host_name())), local, server)
        } else {
            // RFC 5424 always states the host; a BSD message to the local daemon never does.
            let host = (settings.format == SyslogFormat::Rfc5424).then(host_name);
            syslog::unix_custom(form(host), &settings.address)
        }
        .map_err(io_error)?;
        match &logger.backend {
            LoggerBackend::Unix(socket) => socket.set_write_timeout(Some(PATIENCE))?,
            LoggerBackend::UnixStream(socket) => {
                socket.get_ref().set_write_timeout(Some(PATIENCE))?
            }
            LoggerBackend::Udp(socket, _) => socket.set_nonblocking(true)?,
            LoggerBackend::Tcp(socket) => socket.get_ref().set_write_timeout(Some(PATIENCE))?,
        }
        Ok(Self(logger))
    }
}

impl Output for Syslog {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let Logger { formatter, backend } = &mut self.0;
        formatter.format(backend, severity(record.level), record).map_err(io_error)
    }
}

/// How a message is written. The crate's own formatters state UTC where RFC 3164 wants local
/// time, and a number where RFC 5424 has room for the kind of message.
pub(crate) struct Form {
    format: SyslogFormat,
    /// The facility's number, times 8.
    facility: u8,
    host: Option<String>,
    pid: u32,
    zone: TimeZone,
}

impl LogFormat<&Record> for Form {
    fn format<W: io::Write>(
        &self,
        out: &mut W,
        severity: Severity,
        record: &Record,
    ) -> syslog::Result<()> {
        let text = self.text(severity as u8, record);
        // One call is one datagram.
        write!(out, "{text}").map_err(syslog::Error::Write)
    }
}

impl Form {
    /// To read again what was written, in tests of other rooms.
    #[cfg(test)]
    pub(crate) fn new(format: SyslogFormat, host: Option<&str>, pid: u32, zone: TimeZone) -> Self {
        let host = host.map(str::to_owned);
        Self { format, facility: Facility::AuthPriv.number() << 3, host, pid, zone }
    }

    pub(crate) fn text(&self, severity: u8, record: &Record) -> String {
        let Self { format, facility, host, pid, zone } = self;
        let priority = facility | severity;
        let time = Timestamp::try_from(record.at).unwrap_or(Timestamp::MAX);
        let line = Line(record);
        match format {
            SyslogFormat::Rfc3164 => {
                let time = time.to_zoned_datetime(zone.clone());
                let time = time.strftime("%b %e %H:%M:%S");
                let host = host.as_ref().map(|host| format!("{host} ")).unwrap_or_default();
                format!("<{priority}>{time} {host}portcullis[{pid}]: {line}")
            }
            SyslogFormat::Rfc5424 => {
                let host = host.as_deref().unwrap_or("-");
                let data = structured_data(record);
                let kind = record.verb;
                format!("<{priority}>1 {time:.6} {host} portcullis {pid} {kind} {data} {line}")
            }
        }
    }
}

/// `[portcullis@32473 src="203.0.113.7" …]`: the names of the JSON object.
fn structured_data(record: &Record) -> String {
    let mut data = format!("[{STRUCTURED_DATA}");
    for field in record.fields.iter().filter(|field| !field.detail) {
        let _ = write!(data, " {}=\"", field.name.to_ascii_lowercase());
        let value = match &field.value {
            Value::Text(text) => text.to_string(),
            value => Plain(value).to_string(),
        };
        let start = data.len();
        for c in value.chars() {
            if data.len() - start > LONGEST_TEXT {
                break;
            }
            // `"`, `\` and `]` must be escaped (§6.3.3); what cannot be seen is left out.
            match c {
                '"' | '\\' | ']' => data.extend(['\\', c]),
                c if is_seen(c) => data.push(c),
                _ => data.push(' '),
            }
        }
        data.push('"');
    }
    let _ = write!(data, " id=\"{}\"]", record.id);
    data
}

/// The host's name, fit for a syslog header: visible ASCII only.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Error => Severity::LOG_ERR,
        Level::Warning => Severity::LOG_WARNING,
        Level::Notice => Severity::LOG_NOTICE,
        Level::Info => Severity::LOG_INFO,
    }
}

fn io_error(error: syslog::Error) -> io::Error {
    match error {
        syslog::Error::Io(error) | syslog::Error::Write(error) => error,
        // The crate wraps its own errors, and the system's in those.
        syslog::Error::Initialization(error) => match error.downcast::<syslog::Error>() {
            Ok(inner) => io_error(*inner),
            Err(error) => match error.downcast::<io::Error>() {
                Ok(inner) => *inner,
                Err(error) => io::Error::other(error.to_string()),
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::unix::net::UnixListener;
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::super::{Event, Notice, sample};
    use super::*;

    fn form(format: SyslogFormat, host: Option<&str>) -> Form {
        Form {
            format,
            facility: Facility::Local3.number() << 3,
            host: host.map(str::to_owned),
            pid: 812,
            zone: TimeZone::fixed(jiff::tz::offset(2)),
        }
    }

    fn record() -> Record {
        let mut record = Record::of(&Event::Judged(sample::judged("203.0.113.7")), "eth0");
        record.id = "0123456789".into();
        record.at = UNIX_EPOCH + Duration::from_millis(1_788_300_800_250);
        record
    }

    const LINE: &str = "DROP IN=eth0 SRC=203.0.113.7 DST=198.51.100.2 PROTO=TCP SPT=40312 \
                        DPT=23 reason=rate what=login seen=5 limit=4.25 id=0123456789";

    #[test]
    fn both_forms() {
        assert_eq!(
            form(SyslogFormat::Rfc3164, None).text(4, &record()),
            format!("<156>Sep  2 00:13:20 portcullis[812]: {LINE}")
        );
        assert_eq!(
            form(SyslogFormat::Rfc3164, Some("gate")).text(4, &record()),
            format!("<156>Sep  2 00:13:20 gate portcullis[812]: {LINE}")
        );
        assert_eq!(
            form(SyslogFormat::Rfc5424, Some("gate")).text(4, &record()),
            format!(
                "<156>1 2026-09-01T22:13:20.250000Z gate portcullis 812 DROP [portcullis@32473 \
                 in=\"eth0\" src=\"203.0.113.7\" dst=\"198.51.100.2\" proto=\"TCP\" \
                 spt=\"40312\" dpt=\"23\" reason=\"rate\" what=\"login\" seen=\"5\" \
                 limit=\"4.25\" id=\"0123456789\"] {LINE}"
            )
        );
    }

    #[test]
    fn structured_data_is_escaped() {
        let notice =
            Notice { at: UNIX_EPOCH, level: Level::Error, what: "x", text: "a\"]\\\n".into() };
        let mut record = Record::of(&Event::Notice(notice), "");
        record.id = "i".into();
        assert_eq!(
            structured_data(&record),
            r#"[portcullis@32473 what="x" text="a\"\]\\ " id="i"]"#
        );
    }

    #[test]
    fn over_udp_and_over_a_stream() {
        let settings = |address: String| Settings {
            address,
            format: SyslogFormat::Rfc3164,
            facility: Facility::AuthPriv,
        };
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = format!("udp:127.0.0.1:{}", server.local_addr().unwrap().port());
        Syslog::open(&settings(address)).unwrap().write(&record()).unwrap();
        let mut buffer = [0; 2000];
        let length = server.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(text.starts_with("<84>") && text.ends_with(LINE), "{text}");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let listener = UnixListener::bind(&path).unwrap();
        Syslog::open(&settings(path.to_str().unwrap().into())).unwrap().write(&record()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut text = String::new();
        io::Read::read_to_string(&mut stream, &mut text).unwrap();
        assert!(text.starts_with("<84>") && text.ends_with("0123456789\0"), "{text}");
    }
}
