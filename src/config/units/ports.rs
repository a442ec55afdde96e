//! Ports (`"22, 80, 8000-8999"`).

use super::{Mistake, items};
use crate::policy::PortSet;

/// Which ports are served, as `[ports] open` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::config) struct OpenPorts {
    /// Those named.
    pub(in crate::config) named: PortSet,
    /// The word `listening`.
    pub(in crate::config) listening: bool,
    /// The word `any`.
    pub(in crate::config) any: bool,
}

/// Adds ports and ranges to `set`.
pub(in crate::config) fn ports(text: &str, set: &mut PortSet) -> Vec<Mistake> {
    let add = |(item, part)| one(item, set).err().map(|mistake: Mistake| mistake.part(part));
    items(text).filter_map(add).collect()
}

/// Adds ports, ranges and the words `listening` and `any`.
pub(in crate::config) fn open_ports(text: &str, open: &mut OpenPorts) -> Vec<Mistake> {
    let mut add = |(item, part)| match item {
        "listening" => {
            open.listening = true;
            None
        }
        "any" => {
            open.any = true;
            None
        }
        _ => {
            let mistake = one(item, &mut open.named).err()?;
            let word = item.starts_with(|c: char| c.is_alphabetic());
            let words =
                "the words are \"listening\" and \"any\"; or write ports: \"22, 8000-8999\"";
            let mistake = if word { mistake.help(words) } else { mistake };
            Some(mistake.part(part))
        }
    };
    items(text).filter_map(&mut add).collect()
}

fn one(item: &str, set: &mut PortSet) -> Result<(), Mistake> {
    const EXAMPLE: &str = "write ports and ranges with commas: \"22, 80, 8000-8999\"";
    if item.is_empty() {
        return Err(Mistake::new("a port is missing at this comma").help(EXAMPLE));
    }
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    let number = |text: &str| {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Mistake::new(format!("\"{item}\" is not a port")).help(EXAMPLE));
        }
        let number = text.parse::<u16>().ok().filter(|port| *port > 0);
        number.ok_or_else(|| {
            Mistake::new(format!("there is no port {text}")).help("ports go from 1 to 65535")
        })
    };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        let help = format!("write \"{last}-{first}\"");
        return Err(Mistake::new(format!("the range {item} runs backwards")).help(help));
    }
    set.insert_range(first..=last);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges() {
        for (text, wanted) in [
            ("22", "22"),
            ("22, 80,8000-8999", "22, 80, 8000-8999"),
            (" 80 - 81 ", "80-81"),
            ("", ""),
            ("1-65535", "1-65535"),
        ] {
            let mut set = PortSet::default();
            assert_eq!(ports(text, &mut set), [], "{text}");
            assert_eq!(set.to_string(), wanted);
        }
    }

    #[test]
    fn every_wrong_item_is_told_with_its_place() {
        let mut set = PortSet::default();
        let mistakes = ports("0, 22, 70000, 9-5, ssh,", &mut set);
        let parts: Vec<_> = mistakes.into_iter().filter_map(|m| m.part).collect();
        assert_eq!(parts, [0..1, 7..12, 14..17, 19..22, 23..23]);
        assert_eq!(set.to_string(), "22");
    }

    #[test]
    fn words_of_open() {
        let mut open = OpenPorts::default();
        assert_eq!(open_ports("listening, 8080", &mut open), []);
        assert!(open.listening && !open.any && open.named.contains(8080));
        assert_eq!(open_ports("any", &mut open), []);
        assert!(open.any);
        assert!(open_ports("listen", &mut open)[0].help.as_deref().unwrap().contains("listening"));
    }
}
