//! A ledger of many standings, as an earlier run would have left it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{SystemTime, UNIX_EPOCH};

/// A standing on record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recorded {
    /// An IPv4 address, or the base of a /64.
    pub(crate) address: IpAddr,
    /// If not, it is banned.
    pub(crate) suspect: bool,
}

impl Recorded {
    /// The kernel set that it belongs into.
    pub(crate) fn set(self) -> &'static str {
        match (self.suspect, self.address.is_ipv4()) {
            (true, true) => "suspect4",
            (true, false) => "suspect6",
            (false, true) => "banned4",
            (false, false) => "banned6",
        }
    }
}

/// So many standings, of which `first` has the oldest and is banned. Of the others, every fifth is
/// of IPv6, and every tenth a suspect.
pub(crate) fn standings(first: IpAddr, count: u32) -> Vec<Recorded> {
    let others = (0..count.saturating_sub(1)).map(|n| Recorded {
        address: if n % 5 == 4 {
            Ipv6Addr::from_bits((0x2001_0db9 << 96) | u128::from(n) << 64).into()
        } else {
            Ipv4Addr::from_bits(0x0b00_0000 + n * 97).into()
        },
        suspect: n % 10 == 0,
    });
    std::iter::once(Recorded { address: first, suspect: false }).chain(others).collect()
}

/// Writes the ledger of a state folder. Nothing ends within two hours.
pub(crate) fn write_ledger(folder: &str, all: &[Recorded]) -> std::io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis();
    std::fs::create_dir_all(folder)?;
    let mut file = BufWriter::new(File::create(format!("{folder}/standings"))?);
    for (n, standing) in (0..).zip(all) {
        let Recorded { address, suspect } = standing;
        let bits = if address.is_ipv4() { 32 } else { 64 };
        let word = if *suspect { "suspect" } else { "banned" };
        let since = now - 3_600_000 + n % 1_000_000 * 3;
        let until = now + 7_200_000 + n % 86_400_000;
        let json = format!(
            "{{\"net\":\"{address}/{bits}\",\"standing\":\"{word}\",\"entry\":{{\"since\":{since},\
             \"until\":{until},\"offences\":1,\"last\":{since},\"reason\":\"scan\",\"by\":\"gate\",\
             \"evidence\":\"distinct targets: 9, limit 4\"}}}}"
        );
        writeln!(file, "{:08x} {json}", crc32fast::hash(json.as_bytes()))?;
    }
    file.flush()
}
