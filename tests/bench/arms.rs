//! What the benches with real clients put before the server.

/// The policy as it is shipped.
pub(crate) const SHIPPED: &str = include_str!("../../config/portcullis.toml");

/// What is laid over it where one client makes all the connections: every check stays on.
pub(crate) const RAISED: &str = r#"
[rate]
source = "1_000_000/s"
source_burst = 1_000_000
network = "1_000_000/s"
network_burst = 1_000_000
[rate.class.web]
rate = "1_000_000/s"
burst = 1_000_000
[guard]
ceiling = "1_000_000/s"
ceiling_burst = 1_000_000
"#;

/// The rival, as it is found in many a guide: rules for nft under which whoever knocks more often
/// than that is dropped.
pub(crate) fn meters(per_second: u32, burst: u32) -> String {
    format!(
        "table inet meters {{ \
         set tried {{ type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }} \
         chain early {{ type filter hook prerouting priority raw; tcp flags & (syn|ack) == syn \
         add @tried {{ ip saddr limit rate over {per_second}/second burst {burst} packets }} drop; }} }}"
    )
}
