//! What stands in the allow list: prefixes, words and DNS names, by their syntax.

use portcullis::config::parse;

/// Whatever is taken for a name is one, and what surely is one is taken for it.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let policy = format!("[allowlist]\nfrom = \"{}\"\n", escaped(text));
    // Nothing between two commas is nothing.
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let items: Vec<&str> = items.collect();
    match parse(&policy, "names.toml") {
        Ok(loaded) => {
            let list = &loaded.config.policy.allowlist;
            for name in &list.names {
                assert!(is_name(name), "{name:?} is no name, and would be looked up");
                assert!(items.iter().any(|item| item.eq_ignore_ascii_case(name)), "{name:?}");
            }
            for item in items {
                let name = item.to_ascii_lowercase();
                let listed = list.names.contains(&name.as_str());
                assert!(listed || !surely_a_name(item), "{item:?} was lost");
                assert!(listed || !list.fixed.is_empty(), "{item:?} stands for nothing");
            }
        }
        Err(errors) => {
            let few = items.len() <= 64;
            let all_names = !items.is_empty() && items.iter().all(|item| surely_a_name(item));
            assert!(!few || !all_names, "{items:?} were refused: {errors}");
            for problem in &errors.problems {
                assert_eq!(problem.line, 2, "{problem}");
                assert!((1..=policy.len()).contains(&problem.column), "{problem}");
            }
        }
    }
}

/// RFC 1123, 2.1, and RFC 1035, 2.3.4: parts of letters, digits and inner hyphens.
fn is_name(name: &str) -> bool {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // One part alone is a name only if a dot says so: `office.`
    bare.len() <= 253 && name.contains('.') && bare.split('.').all(label)
}

/// A name that nobody can take for an address: its parts begin with letters.
fn surely_a_name(item: &str) -> bool {
    let name = item.to_ascii_lowercase();
    is_name(&name) && name.split('.').all(|label| !label.starts_with(|c: char| c.is_ascii_digit()))
}

/// The inside of a TOML string.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
