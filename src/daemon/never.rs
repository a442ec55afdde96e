//! Why somebody is never banned, in a sentence. Pure.

use ipnet::IpNet;

use crate::policy::Allowlist;

/// What keeps this prefix from being banned: the first that is in the allow list, in `[bans] never`,
/// or among what this host itself `needs`. `None` if nothing does.
pub(super) fn never(
    net: IpNet,
    allowed: &Allowlist,
    listed: &[IpNet],
    needs: &[IpNet],
) -> Option<String> {
    let touches = |own: &&IpNet| own.contains(&net) || net.contains(*own);
    let first = |nets: &[IpNet]| nets.iter().find(touches).copied();
    let (kept, because) = if let Some(kept) = first(&allowed.fixed) {
        (kept, "it is in the allow list ([allowlist] from)".to_owned())
    } else if let Some(kept) = first(&allowed.nets) {
        let list = allowed.prefixes.find(kept.addr()).unwrap_or_default();
        (kept, format!("it is an address of {}, a name in the allow list", allowed.called(list)))
    } else if let Some(kept) = first(listed) {
        (kept, "it is in [bans] never".to_owned())
    } else {
        let because = "it is an address of this host, its gateway or resolver, or of an open SSH \
                       session";
        (first(needs)?, because.to_owned())
    };
    let whose = if kept == net {
        String::new()
    } else if net.contains(&kept) {
        format!(" holds {}, which", shown(kept))
    } else {
        format!(" is in {}, which", shown(kept))
    };
    Some(format!("{}{whose} is never banned: {because}", shown(net)))
}

/// A single address without its `/32`.
fn shown(net: IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told() {
        let nets = |list: &[&str]| list.iter().map(|n| n.parse().unwrap()).collect::<Vec<IpNet>>();
        let allowed = Allowlist::with_names(nets(&["198.51.100.7/32"]), vec!["office.example"]);
        let allowed = allowed.resolved(|_| vec!["203.0.113.9".parse().unwrap()]);
        let (listed, needs) = (nets(&["10.0.0.0/8"]), nets(&["192.0.2.1/32", "2001:db8::/64"]));
        for (net, said) in [
            (
                "198.51.100.7/32",
                "198.51.100.7 is never banned: it is in the allow list ([allowlist] from)",
            ),
            (
                "203.0.113.0/24",
                "203.0.113.0/24 holds 203.0.113.9, which is never banned: it is an address of \
                 office.example, a name in the allow list",
            ),
            (
                "10.1.2.3/32",
                "10.1.2.3 is in 10.0.0.0/8, which is never banned: it is in [bans] never",
            ),
            (
                "192.0.2.0/24",
                "192.0.2.0/24 holds 192.0.2.1, which is never banned: it is an address of this \
                 host, its gateway or resolver, or of an open SSH session",
            ),
            (
                "2001:db8::/64",
                "2001:db8::/64 is never banned: it is an address of this host, its gateway or \
                 resolver, or of an open SSH session",
            ),
        ] {
            let told = never(net.parse().unwrap(), &allowed, &listed, &needs);
            assert_eq!(told.as_deref(), Some(said));
        }
        let nobody = never("192.0.3.0/24".parse().unwrap(), &allowed, &listed, &needs);
        assert_eq!(nobody, None);
    }
}
