//! Which service lives at which port.

use std::fmt;

/// What is spoken at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 4253
    Ssh,
    /// RFC 9112
    Http,
    /// RFC 8446; what is spoken inside is not known.
    Tls,
    /// RFC 5321
    Smtp,
    /// RFC 959
    Ftp,
    /// RFC 9051
    Imap,
    /// RFC 1939
    Pop3,
    /// MySQL and MariaDB
    MySql,
    /// PostgreSQL
    Postgres,
    /// Redis and Valkey
    Redis,
    /// RFC 6143
    Vnc,
    /// Remote desktop (MS-RDPBCGR)
    Rdp,
    /// RFC 854
    Telnet,
    /// rsync's own daemon
    Rsync,
    /// memcached
    Memcached,
}

impl Protocol {
    /// Does the server speak first?
    pub fn greets(self) -> bool {
        use Protocol::{Ftp, Imap, MySql, Pop3, Rsync, Smtp, Ssh, Telnet, Vnc};
        matches!(self, Ssh | Smtp | Ftp | Imap | Pop3 | MySql | Vnc | Telnet | Rsync)
    }

    /// Is it made for programs of the same house, not for strangers?
    pub fn is_inner(self) -> bool {
        use Protocol::{Memcached, MySql, Postgres, Rdp, Redis, Vnc};
        matches!(self, MySql | Postgres | Redis | Memcached | Vnc | Rdp)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Protocol::Ssh => "SSH",
            Protocol::Http => "HTTP",
            Protocol::Tls => "TLS",
            Protocol::Smtp => "SMTP",
            Protocol::Ftp => "FTP",
            Protocol::Imap => "IMAP",
            Protocol::Pop3 => "POP3",
            Protocol::MySql => "MySQL",
            Protocol::Postgres => "PostgreSQL",
            Protocol::Redis => "Redis",
            Protocol::Vnc => "VNC",
            Protocol::Rdp => "RDP",
            Protocol::Telnet => "Telnet",
            Protocol::Rsync => "rsync",
            Protocol::Memcached => "memcached",
        })
    }
}

/// A service that is expected at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// Where.
    pub port: u16,
    /// What it is called.
    pub name: &'static str,
    /// How it speaks, if a banner can tell.
    pub speaks: Option<Protocol>,
    /// It is made for programs of the same house, not for strangers.
    pub inner: bool,
}

/// The service expected at a port. Ports from 49152 upwards are anybody's (RFC 6335).
pub fn service(port: u16) -> Option<&'static Service> {
    let at = SERVICES.binary_search_by_key(&port, |service| service.port).ok()?;
    Some(&SERVICES[at])
}

const fn at(port: u16, name: &'static str, speaks: Option<Protocol>) -> Service {
    Service { port, name, speaks, inner: false }
}

const fn inner(port: u16, name: &'static str, speaks: Option<Protocol>) -> Service {
    Service { port, name, speaks, inner: true }
}

/// By port. Names as in the registry of service names (RFC 6335) or as the project calls itself.
static SERVICES: [Service; 63] = {
    use Protocol::*;
    [
        at(21, "ftp", Some(Ftp)),
        at(22, "ssh", Some(Ssh)),
        at(23, "telnet", Some(Telnet)),
        at(25, "smtp", Some(Smtp)),
        at(53, "dns", None),
        at(80, "http", Some(Http)),
        at(110, "pop3", Some(Pop3)),
        inner(111, "rpcbind", None),
        inner(135, "msrpc", None),
        inner(139, "netbios", None),
        at(143, "imap", Some(Imap)),
        at(179, "bgp", None),
        inner(389, "ldap", None),
        at(443, "https", Some(Tls)),
        inner(445, "smb", None),
        at(465, "submissions", Some(Tls)),
        inner(514, "syslog", None),
        inner(515, "printer", None),
        at(587, "submission", Some(Smtp)),
        inner(631, "ipp", Some(Http)),
        inner(636, "ldaps", Some(Tls)),
        at(853, "dns-tls", Some(Tls)),
        at(873, "rsync", Some(Rsync)),
        at(990, "ftps", Some(Tls)),
        at(993, "imaps", Some(Tls)),
        at(995, "pop3s", Some(Tls)),
        inner(1433, "mssql", None),
        inner(1521, "oracle", None),
        at(1723, "pptp", None),
        inner(1883, "mqtt", None),
        inner(2049, "nfs", None),
        inner(2375, "docker", Some(Http)),
        inner(2376, "docker-tls", Some(Tls)),
        inner(2379, "etcd", None),
        inner(3128, "proxy", Some(Http)),
        inner(3306, "mysql", Some(MySql)),
        inner(3389, "rdp", Some(Rdp)),
        at(4190, "sieve", None),
        at(5060, "sip", None),
        at(5222, "xmpp", None),
        at(5269, "xmpp-server", None),
        inner(5432, "postgresql", Some(Postgres)),
        inner(5601, "kibana", Some(Http)),
        inner(5672, "amqp", None),
        inner(5900, "vnc", Some(Vnc)),
        inner(5985, "winrm", Some(Http)),
        inner(6379, "redis", Some(Redis)),
        at(6443, "kubernetes", Some(Tls)),
        at(8000, "http", Some(Http)),
        at(8080, "http", Some(Http)),
        at(8443, "https", Some(Tls)),
        at(8883, "mqtt-tls", Some(Tls)),
        at(8888, "http", Some(Http)),
        inner(9042, "cassandra", None),
        inner(9090, "prometheus", Some(Http)),
        inner(9092, "kafka", None),
        inner(9100, "node-exporter", Some(Http)),
        inner(9200, "elasticsearch", Some(Http)),
        inner(9300, "elasticsearch", None),
        at(9418, "git", None),
        inner(10250, "kubelet", Some(Tls)),
        inner(11211, "memcached", Some(Memcached)),
        inner(27017, "mongodb", None),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_is_found() {
        assert!(SERVICES.is_sorted_by_key(|service| service.port));
        assert!(SERVICES.iter().all(|known| service(known.port) == Some(known)));
        assert!(SERVICES.iter().all(|known| known.name.len() <= 13), "they fill a column");
        assert_eq!((service(0), service(31337), service(65535)), (None, None, None));
    }
}
