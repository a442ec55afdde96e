//! What usually answers at a port.

/// The ports that scanners ask for most, with the names people know them by.
const SERVICES: [(u16, &str); 64] = [
    (20, "ftp data"),
    (21, "ftp"),
    (22, "ssh"),
    (23, "telnet"),
    (25, "smtp"),
    (53, "dns"),
    (67, "dhcp"),
    (69, "tftp"),
    (80, "http"),
    (81, "http"),
    (88, "kerberos"),
    (110, "pop3"),
    (111, "rpcbind"),
    (123, "ntp"),
    (135, "windows rpc"),
    (137, "netbios"),
    (139, "netbios"),
    (143, "imap"),
    (161, "snmp"),
    (179, "bgp"),
    (389, "ldap"),
    (443, "https"),
    (445, "windows files"),
    (465, "smtp over tls"),
    (502, "modbus"),
    (514, "syslog"),
    (515, "printer"),
    (554, "rtsp"),
    (587, "mail submission"),
    (631, "printing (ipp)"),
    (636, "ldap over tls"),
    (853, "dns over tls"),
    (873, "rsync"),
    (993, "imap over tls"),
    (995, "pop3 over tls"),
    (1080, "socks"),
    (1433, "ms sql"),
    (1521, "oracle"),
    (1723, "pptp"),
    (1883, "mqtt"),
    (2049, "nfs"),
    (2222, "ssh"),
    (2323, "telnet"),
    (2375, "docker"),
    (2376, "docker over tls"),
    (3000, "web app"),
    (3128, "proxy"),
    (3306, "mysql"),
    (3389, "remote desktop"),
    (5060, "sip"),
    (5432, "postgresql"),
    (5555, "android debug"),
    (5672, "amqp"),
    (5900, "vnc"),
    (5985, "windows remote"),
    (6379, "redis"),
    (6443, "kubernetes"),
    (6667, "irc"),
    (8000, "http"),
    (8080, "http proxy"),
    (8443, "https"),
    (9200, "elasticsearch"),
    (11211, "memcached"),
    (27017, "mongodb"),
];

/// The name of the service that usually has this port, if it is a well-known one.
pub(in crate::cli) fn service(port: u16) -> Option<&'static str> {
    let place = SERVICES.binary_search_by_key(&port, |(known, _)| *known).ok()?;
    SERVICES.get(place).map(|(_, name)| *name)
}

/// `22 ssh`, or only the number.
pub(super) fn named(port: u16) -> String {
    service(port).map_or_else(|| port.to_string(), |name| format!("{port} {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ports() {
        assert!(SERVICES.is_sorted_by(|(a, _), (b, _)| a < b), "for the binary search");
        for (port, _) in SERVICES {
            assert!(service(port).is_some());
        }
        assert_eq!((named(22), named(4)), ("22 ssh".into(), "4".into()));
    }
}
