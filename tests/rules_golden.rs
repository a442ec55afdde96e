//! The kernel program for three policies, as text, compared with files that people can read.
//! `UPDATE_GOLDEN=1 cargo test --test rules_golden` writes them anew.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use portcullis::cli::rules::as_text;
use portcullis::config::{Config, Mode, Redirect};
use portcullis::policy::Allowlist;

fn compare(name: &str, config: &Config) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/rules/{name}.txt"));
    let text = as_text(config);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        text,
        expected,
        "{} differs. If the change is meant: UPDATE_GOLDEN=1 cargo test --test rules_golden",
        file.display()
    );
}

fn allowlist(nets: &[&str]) -> Allowlist {
    let net = |text: &&str| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    Allowlist::new(nets.iter().map(net).collect::<Result<_, _>>().unwrap())
}

#[test]
fn default() {
    let mut config = Config::default();
    config.policy.ports.served = [22, 80, 443].into_iter().collect();
    compare("default", &config);
}

#[test]
fn gateway() {
    let mut config = Config::default();
    config.guard.redirect = Redirect::Iptables;
    let trusted = ["192.0.2.0/24", "192.0.2.7", "2001:db8:1::/48"];
    config.policy.allowlist = allowlist(&trusted).into();
    config.guard.protect =
        ["10.7.0.0/16", "10.7.1.0/24", "2001:db8:7::/48"].map(|net| net.parse().unwrap()).into();
    config.policy.ports.served = [22].into_iter().collect();
    config.policy.ports.open_behind = Some([25, 80, 443].into_iter().collect());
    config.queue.threads = 4;
    config.bans.drop_established = true;
    compare("gateway", &config);
}

#[test]
fn observe() {
    let config = Config { mode: Mode::Observe, ..Config::default() };
    compare("observe", &config);
    assert!(!as_text(&config).contains(" drop"), "observe mode drops nothing");
}

/// Connection tracking costs every packet, and a flood can fill its table. It is asked only where
/// the port alone does not tell a service from a client.
#[test]
fn tracking_is_left_alone_where_ports_tell_services() {
    let with = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        as_text(&config).matches("ct direction reply").count()
    };
    let protect = |config: &mut Config| config.guard.protect = vec!["10.7.0.0/16".parse().unwrap()];
    assert_eq!(with(|_| ()), 0);
    assert_eq!(with(|config| config.policy.ports.open = [40_000, 50_000].into_iter().collect()), 0);
    assert_eq!(with(|config| config.policy.ports.any = true), 1);
    assert_eq!(with(|config| config.policy.ports.open.insert_range(1024..=65_535)), 1);
    // What is behind the host has rules of its own.
    let mut config = Config::default();
    protect(&mut config);
    assert_eq!(as_text(&config).matches("ct direction reply").count(), 1);
    config.policy.ports.open_behind = Some([80].into_iter().collect());
    assert_eq!(as_text(&config).matches("ct direction reply").count(), 0);
}
