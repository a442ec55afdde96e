//! What scanning tools write into a SYN: one row per rule.
//!
//! `source` names the file of the tool that the facts of a row come from. On the 8,397 SYNs of a
//! corpus of captures that are not about scanning, in which something answered, the rows that
//! deny hit two: both look like nmap's own. All but Mirai's were tried on the tools themselves.
//! Where honest devices write the same, a row only scores.

use super::facts::{ANY, Facts, IpId, Kind::*, Layout, exactly};

/// One rule.
pub(super) struct Rule {
    /// The name by which `[fingerprint] ignore` knows it.
    pub(super) tool: &'static str,
    /// The tool and its versions, as evidence tells them.
    pub(super) what: &'static str,
    /// All of this has to be so.
    pub(super) facts: Facts,
    /// What follows.
    pub(super) says: Says,
    /// Where the facts were read.
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever reads the table"))]
    pub(super) source: &'static str,
}

/// What follows from a match.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Says {
    /// No honest system writes this.
    Deny,
    /// Some do.
    Score,
}

/// All rules; the first that holds speaks.
pub(super) static RULES: [Rule; 18] = [
    Rule {
        tool: "zmap",
        what: "ZMap up to 4.0",
        facts: Facts {
            ip_id: IpId::Is(54321),
            ttl_sent: 255..=255,
            window: &[65535],
            options: Layout::NoneOrMss,
            fragmentable: true,
            ..ANY
        },
        says: Says::Deny,
        source: "zmap: src/probe_modules/packet.c, make_ip_header and make_tcp_header",
    },
    Rule {
        // It copies the options of Windows, which sets "don't fragment" and sends a TTL of 128.
        tool: "zmap",
        what: "ZMap since 4.1",
        facts: Facts {
            ttl_sent: 64..=64,
            window: &[65535],
            options: exactly(&[Mss, Nop, Scale, Nop, Nop, Sack]),
            window_scale: Some(8),
            fragmentable: true,
            ..ANY
        },
        says: Says::Deny,
        source: "zmap: src/probe_modules/packet.c, set_tcp_options",
    },
    Rule {
        // With `--probe-args=linux`: Linux sets "don't fragment" and, but for a few, another window.
        tool: "zmap",
        what: "ZMap as Linux",
        facts: Facts {
            ttl_sent: 64..=64,
            window: &[65535],
            options: exactly(&[Mss, Sack, Times, Nop, Scale]),
            window_scale: Some(7),
            fragmentable: true,
            ..ANY
        },
        says: Says::Deny,
        source: "zmap: src/probe_modules/packet.c, set_tcp_options",
    },
    Rule {
        // With `--probe-args=bsd`: as macOS writes it, which sets "don't fragment" nearly always.
        tool: "zmap",
        what: "ZMap as BSD",
        facts: Facts {
            ttl_sent: 64..=64,
            window: &[65535],
            options: exactly(&[Mss, Nop, Scale, Nop, Nop, Times, Sack]),
            window_scale: Some(6),
            fragmentable: true,
            ..ANY
        },
        says: Says::Score,
        source: "zmap: src/probe_modules/packet.c, set_tcp_options",
    },
    Rule {
        tool: "masscan",
        what: "masscan up to 1.3.2",
        facts: Facts {
            ip_id: IpId::Xor,
            window: &[1024],
            options: Layout::None,
            ttl_sent: 255..=255,
            fragmentable: true,
            ..ANY
        },
        says: Says::Deny,
        source: "masscan: src/templ-pkt.c, default_tcp_template and template_set_target",
    },
    Rule {
        tool: "masscan",
        what: "masscan since 2023-11",
        facts: Facts { window: &[1025], mss: Some(1460), fragmentable: true, ..ANY },
        says: Says::Deny,
        source: "masscan: src/templ-pkt.c, default_tcp_template",
    },
    Rule {
        // By chance in one SYN of four thousand million.
        tool: "mirai",
        what: "Mirai",
        facts: Facts { seq_is_destination: true, options: Layout::None, ..ANY },
        says: Says::Deny,
        source: "Mirai: mirai/bot/scanner.c, scanner_init",
    },
    Rule {
        tool: "nmap",
        what: "nmap SYN scan",
        facts: Facts {
            window: &[1024],
            options: exactly(&[Mss]),
            mss: Some(1460),
            ttl_sent: 37..=59,
            fragmentable: true,
            ..ANY
        },
        says: Says::Deny,
        source: "nmap: scan_engine_raw.cc; libnetutil/netutil.cc, build_tcp_raw and build_ip_raw",
    },
    nmap_os(&[1], exactly(&[Scale, Nop, Mss, Times, Sack]), Some(1460), Some(10)),
    nmap_os(&[63], exactly(&[Mss, Scale, Sack, Times]), Some(1400), Some(0)),
    nmap_os(&[4], exactly(&[Times, Nop, Nop, Scale, Nop, Mss]), Some(640), Some(5)),
    nmap_os(&[4], exactly(&[Sack, Times, Scale]), None, Some(10)),
    nmap_os(&[16], exactly(&[Mss, Sack, Times, Scale]), Some(536), Some(10)),
    nmap_os(&[512], exactly(&[Mss, Sack, Times]), Some(265), None),
    Rule {
        // The ECN probe asks for nothing stray, but no stack has these options.
        tool: "nmap",
        what: "nmap system detection",
        facts: Facts {
            window: &[3],
            options: exactly(&[Scale, Nop, Mss, Sack, Nop, Nop]),
            mss: Some(1460),
            window_scale: Some(10),
            ..ANY
        },
        says: Says::Deny,
        source: "nmap: osscan2.cc, prbOpts and prbWindowSz",
    },
    // The probes T3 (if its flags are not refused before) and T5.
    nmap_os(&[256, 31337], exactly(&[Scale, Nop, Mss, Times, Sack]), Some(265), Some(10)),
    Rule {
        tool: "nmap",
        what: "nmap before 2011",
        facts: Facts {
            window: &[2048, 3072, 4096],
            options: exactly(&[Mss]),
            mss: Some(1460),
            ttl_sent: 37..=59,
            fragmentable: true,
            ..ANY
        },
        // Industrial controllers write the same.
        says: Says::Score,
        source: "nmap 5.51: tcpip.cc, build_tcp_raw",
    },
    Rule {
        tool: "hping3",
        what: "hping3",
        facts: Facts {
            window: &[512],
            options: Layout::None,
            stray_ack: true,
            fragmentable: true,
            ..ANY
        },
        says: Says::Deny,
        source: "hping: sendtcp.c, send_tcp; hping2.h, DEFAULT_SRCWINSIZE",
    },
];

/// A probe of nmap's system detection: a window and options that no stack has, and an
/// acknowledgement number that nothing asked for.
const fn nmap_os(
    window: &'static [u16],
    options: Layout,
    mss: Option<u16>,
    window_scale: Option<u8>,
) -> Rule {
    Rule {
        tool: "nmap",
        what: "nmap system detection",
        facts: Facts { window, options, mss, window_scale, stray_ack: true, ..ANY },
        says: Says::Deny,
        source: "nmap: osscan2.cc, prbOpts and prbWindowSz",
    }
}
