//! What a service says → which service it is.

use super::services::Protocol;

/// What was said to a service before it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poke {
    /// Nothing: it spoke first.
    Nothing,
    /// A request for a page's header.
    Http,
    /// The beginning of a TLS handshake.
    Tls,
    /// PostgreSQL's question whether TLS is on offer.
    Postgres,
    /// Redis' PING.
    Redis,
    /// The beginning of a remote desktop connection.
    Rdp,
}

impl Poke {
    /// The bytes to send. None of them changes anything at the service.
    pub fn bytes(self) -> &'static [u8] {
        match self {
            Poke::Nothing => b"",
            Poke::Http => b"HEAD / HTTP/1.0\r\nUser-Agent: portcullis-audit\r\n\r\n",
            Poke::Tls => &CLIENT_HELLO,
            // SSLRequest: its length and the code 80877103.
            Poke::Postgres => &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f],
            Poke::Redis => b"PING\r\n",
            // TPKT of 11 bytes with an X.224 connection request (RFC 1006, MS-RDPBCGR 2.2.1.1).
            Poke::Rdp => &[3, 0, 0, 11, 6, 0xe0, 0, 0, 0, 0, 0],
        }
    }

    /// How a protocol whose servers do not speak first is asked.
    pub fn of(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http | Protocol::Memcached => Poke::Http,
            Protocol::Tls => Poke::Tls,
            Protocol::Postgres => Poke::Postgres,
            Protocol::Redis => Poke::Redis,
            Protocol::Rdp => Poke::Rdp,
            _ => Poke::Nothing,
        }
    }
}

/// A ClientHello of TLS 1.2 (RFC 5246 §7.4.1.2) with the suites that most servers know. A server
/// that likes none of them answers with an alert, which is an answer too.
static CLIENT_HELLO: [u8; 62] = {
    let mut hello = [0x5a; 62];
    // Record: handshake, 3.1, 57 bytes. Message: ClientHello, 53 bytes, 3.3; then 32 random bytes.
    let head = [0x16, 3, 1, 0, 57, 1, 0, 0, 53, 3, 3];
    // No session; seven suites; no compression.
    let tail = [
        0, 0, 14, 0xc0, 0x2f, 0xc0, 0x30, 0xc0, 0x2b, 0xc0, 0x2c, 0xcc, 0xa8, 0x00, 0x9c, 0x00,
        0x2f, 1, 0,
    ];
    let mut i = 0;
    while i < head.len() {
        hello[i] = head[i];
        i += 1;
    }
    let mut i = 0;
    while i < tail.len() {
        hello[head.len() + 32 + i] = tail[i];
        i += 1;
    }
    hello
};

/// A service, told by what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Banner {
    /// What it speaks.
    pub protocol: Protocol,
    /// Which program it says it is; printable, at most 40 characters; may be empty.
    pub detail: String,
}

/// Which service says this `after` a poke? `expected` settles what its words leave open: greetings
/// of mail and file servers can look alike.
pub fn recognise(said: &[u8], after: Poke, expected: Option<Protocol>) -> Option<Banner> {
    use Protocol::*;
    let line = said.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let rest = |skipped: usize| printable(line.get(skipped..).unwrap_or_default());
    let (protocol, detail) = match said {
        [b'S', b'S', b'H', b'-', ..] => (Ssh, ssh(line)),
        _ if said.starts_with(b"HTTP/") => http(said),
        [b'R', b'F', b'B', b' ', ..] => (Vnc, rest(4)),
        _ if said.starts_with(b"@RSYNCD:") => (Rsync, rest(8)),
        // TLS record: a handshake message or an alert, of version 3.x.
        [0x15 | 0x16, 3, 0..=4, ..] if after != Poke::Nothing => (Tls, String::new()),
        [3, 0, 0, _, _, 0xd0, ..] if after == Poke::Rdp => (Rdp, String::new()),
        [b'S' | b'N'] if after == Poke::Postgres => (Postgres, String::new()),
        [b'E', 0, ..] if contains(said, b"FATAL") => (Postgres, String::new()),
        [b'2' | b'4' | b'5', b'0'..=b'9', b'0'..=b'9', b' ' | b'-', ..] => {
            let upper = line.to_ascii_uppercase();
            let ftp = match (contains(&upper, b"SMTP"), contains(&upper, b"FTP")) {
                (true, _) => false,
                (_, true) => true,
                _ => expected == Some(Ftp),
            };
            (if ftp { Ftp } else { Smtp }, rest(4))
        }
        _ if said.starts_with(b"* OK") || said.starts_with(b"* PREAUTH") => (Imap, rest(5)),
        _ if said.starts_with(b"+OK") => (Pop3, rest(4)),
        _ if said.starts_with(b"+PONG") => (Redis, String::new()),
        _ if said.starts_with(b"-NOAUTH") || said.starts_with(b"-DENIED") => {
            (Redis, "wants a password".to_owned())
        }
        _ if said.starts_with(b"-ERR") && after != Poke::Nothing => (Redis, String::new()),
        _ if said.starts_with(b"ERROR\r\n") && after == Poke::Http => (Memcached, String::new()),
        [0xff, 0xfb..=0xfe, ..] => (Telnet, String::new()),
        _ => return mysql(said),
    };
    Some(Banner { protocol, detail })
}

/// The program in `SSH-2.0-OpenSSH_9.2p1 Debian-2` (RFC 4253 §4.2).
fn ssh(line: &[u8]) -> String {
    let words = printable(line);
    words.splitn(3, '-').nth(2).unwrap_or_default().to_owned()
}

/// The `Server:` of an answer, or its status. Servers of TLS say so when they hear plain HTTP.
fn http(said: &[u8]) -> (Protocol, String) {
    let lines = || said.split(|byte| *byte == b'\n');
    if contains(said, b"HTTP request was sent to HTTPS port")
        || contains(said, b"HTTP request to an HTTPS server")
    {
        return (Protocol::Tls, String::new());
    }
    let server = lines().find_map(|line| {
        let (name, value) = line.split_at_checked(7)?;
        name.eq_ignore_ascii_case(b"server:").then(|| printable(value))
    });
    let status = || printable(lines().next().unwrap_or_default());
    (Protocol::Http, server.unwrap_or_else(status))
}

/// A packet of MySQL: its length in three bytes, number 0, then protocol version 10 and the
/// server's version up to a zero; or an error message.
fn mysql(said: &[u8]) -> Option<Banner> {
    let [low, mid, high, 0, kind, text @ ..] = said else { return None };
    let length = u32::from_le_bytes([*low, *mid, *high, 0]) as usize;
    let whole = length == text.len() + 1;
    let detail = match kind {
        10 if length > 20 => printable(text.split(|byte| *byte == 0).next().unwrap_or_default()),
        0xff if whole => String::new(),
        _ => return None,
    };
    Some(Banner { protocol: Protocol::MySql, detail })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What a terminal may show of it: ASCII only, at most 40 characters.
fn printable(bytes: &[u8]) -> String {
    let shown = bytes.iter().filter(|byte| byte.is_ascii_graphic() || **byte == b' ');
    let text: String = shown.take(40).map(|byte| char::from(*byte)).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn services_by_their_words() {
        use Protocol::*;
        let mysql = b"\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0abcdefgh\0";
        let cases: &[(&[u8], Poke, Protocol, &str)] = &[
            (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", Poke::Nothing, Ssh, "OpenSSH_9.2p1 Debian-2"),
            (b"HTTP/1.1 200 OK\r\nServer: nginx/1.22\r\n", Poke::Http, Http, "nginx/1.22"),
            (b"HTTP/1.0 404 Not Found\r\n\r\n", Poke::Http, Http, "HTTP/1.0 404 Not Found"),
            (
                b"HTTP/1.1 400 Bad Request\r\n\r\nThe plain HTTP request was sent to HTTPS port",
                Poke::Http,
                Tls,
                "",
            ),
            (b"\x15\x03\x01\0\x02\x02\x46", Poke::Http, Tls, ""),
            (b"\x16\x03\x03\0\x7a", Poke::Tls, Tls, ""),
            (b"220 mx ESMTP Postfix\r\n", Poke::Nothing, Smtp, "mx ESMTP Postfix"),
            (b"220-Welcome to Pure-FTPd\r\n220 x", Poke::Nothing, Ftp, "Welcome to Pure-FTPd"),
            (b"220 hello\r\n", Poke::Nothing, Smtp, "hello"),
            (
                b"* OK [CAPABILITY] Dovecot ready.\r\n",
                Poke::Nothing,
                Imap,
                "[CAPABILITY] Dovecot ready.",
            ),
            (b"+OK Dovecot ready.\r\n", Poke::Nothing, Pop3, "Dovecot ready."),
            (mysql, Poke::Nothing, MySql, "8.0.36"),
            (b"\x06\0\0\0\xff\x6a\x04abc", Poke::Nothing, MySql, ""),
            (b"S", Poke::Postgres, Postgres, ""),
            (b"E\0\0\0\x20SFATAL\0", Poke::Http, Postgres, ""),
            (b"+PONG\r\n", Poke::Redis, Redis, ""),
            (b"-NOAUTH Authentication required.", Poke::Redis, Redis, "wants a password"),
            (b"-ERR unknown command 'HEAD'", Poke::Http, Redis, ""),
            (b"RFB 003.008\n", Poke::Nothing, Vnc, "003.008"),
            (b"\x03\0\0\x0b\x06\xd0\0\0\x12\x34\0", Poke::Rdp, Rdp, ""),
            (b"\xff\xfd\x18\xff\xfd\x20", Poke::Nothing, Telnet, ""),
            (b"@RSYNCD: 31.0\n", Poke::Nothing, Rsync, "31.0"),
            (b"ERROR\r\n", Poke::Http, Memcached, ""),
        ];
        for (said, after, protocol, detail) in cases {
            let seen = recognise(said, *after, None);
            let expected = Banner { protocol: *protocol, detail: (*detail).to_owned() };
            assert_eq!(seen, Some(expected), "{:?}", String::from_utf8_lossy(said));
        }
        let ftp = recognise(b"220 hello\r\n", Poke::Nothing, Some(Ftp));
        assert_eq!(ftp.map(|banner| banner.protocol), Some(Ftp));
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        for said in [&b""[..], b"hello", b"S", b"\x16\x03\x03", b"\x05\0\0\0\x0aabc"] {
            assert_eq!(recognise(said, Poke::Nothing, None), None, "{said:?}");
        }
    }

    #[test]
    fn the_hello_is_as_long_as_it_says() {
        let number =
            |at: usize| usize::from(u16::from_be_bytes([CLIENT_HELLO[at], CLIENT_HELLO[at + 1]]));
        assert_eq!(number(3), CLIENT_HELLO.len() - 5);
        assert_eq!(number(7), CLIENT_HELLO.len() - 9);
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(
            bytes in prop::collection::vec(any::<u8>(), 0..300), start in 0usize..6, poke in 0usize..6
        ) {
            let starts = [&b""[..], b"SSH-", b"HTTP/", b"220 ", b"\xff\0\0\0\x0a", b"RFB "];
            let pokes =
                [Poke::Nothing, Poke::Http, Poke::Tls, Poke::Postgres, Poke::Redis, Poke::Rdp];
            let said = [starts[start], &bytes].concat();
            if let Some(banner) = recognise(&said, pokes[poke], None) {
                prop_assert!(banner.detail.chars().count() <= 40);
                prop_assert!(!banner.detail.chars().any(char::is_control));
            }
        }
    }
}
