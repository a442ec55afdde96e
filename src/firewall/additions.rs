//! Many elements that are surely new, in nft's own language, which it reads sooner than JSON. There
//! is nothing in it but our own words, addresses, ports and numbers. Pure.

use std::fmt::{self, Write};

use super::names::{Family, TABLE, is_wide};
use super::transaction::Elem;

/// The text that adds these elements, one to a line, so that nft's complaint about one quotes no
/// other.
pub(super) fn additions(fresh: &[Elem]) -> String {
    let mut sets: Vec<(&'static str, Family, String)> = Vec::new();
    let those = fresh.iter().filter(|elem| !is_wide(elem.whom.net));
    for Elem { stem, whom, lasts, .. } in those {
        let Some(lasts) = lasts else { continue };
        let address = whom.net.network();
        let family = Family::of(address);
        let known = sets.iter().position(|(other, of, _)| (other, *of) == (stem, family));
        let place = known.unwrap_or_else(|| {
            let name = family.set(stem);
            sets.push((stem, family, format!("add element inet {TABLE} {name} {{\n")));
            sets.len() - 1
        });
        let text = &mut sets[place].2;
        // Writing into a String cannot fail.
        let _ = match whom.port {
            Some(port) => writeln!(text, "{address} . {port} timeout {},", Lasting(*lasts)),
            None => writeln!(text, "{address} timeout {},", Lasting(*lasts)),
        };
    }
    sets.into_iter().map(|(_, _, text)| text + "}\n").collect()
}

/// Seconds as nft reads them: of one unit it takes no more than eight digits.
struct Lasting(u32);

impl fmt::Display for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAY: u32 = 24 * 3600;
        match (self.0 / DAY, self.0 % DAY) {
            (0, secs) => write!(f, "{secs}s"),
            (days, secs) => write!(f, "{days}d{secs}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Whom;
    use super::*;

    #[test]
    fn each_set_gets_its_own() {
        let elem = |stem, net: &str, port, lasts| {
            let whom = Whom { net: net.parse().unwrap(), port };
            Elem { stem, whom, lasts, fresh: true }
        };
        let text = additions(&[
            elem("banned", "192.0.2.1/32", None, Some(5)),
            elem("suspect", "2001:db8:0:7::/64", None, Some(u32::MAX)),
            elem("banned", "192.0.2.2/32", None, Some(1)),
            elem("banned_at", "192.0.2.1/32", Some(22), Some(7)),
            elem("banned_at", "2001:db8::/64", Some(65_535), Some(7)),
            // There is no element for a wide prefix, and nothing to add where nothing lasts.
            elem("banned", "10.0.0.0/8", None, Some(5)),
            elem("suspect", "192.0.2.9/32", None, None),
        ]);
        let expected = "\
            add element inet portcullis banned4 {\n\
            192.0.2.1 timeout 5s,\n\
            192.0.2.2 timeout 1s,\n\
            }\n\
            add element inet portcullis suspect6 {\n\
            2001:db8:0:7:: timeout 49710d23295s,\n\
            }\n\
            add element inet portcullis banned_at4 {\n\
            192.0.2.1 . 22 timeout 7s,\n\
            }\n\
            add element inet portcullis banned_at6 {\n\
            2001:db8:: . 65535 timeout 7s,\n\
            }\n";
        assert_eq!(text, expected);
        assert_eq!(additions(&[]), "");
    }
}
