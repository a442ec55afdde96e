//! `name=value name="a value"`: the inverse of [`Line`](crate::events::Line).

use std::borrow::Cow;

/// The fields of a line, one after the other. Ends at the first thing that is none.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a str);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, Raw<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.trim_start_matches(' ');
        let equals = rest.bytes().position(|b| b == b'=' || b == b' ')?;
        let (name, rest) = rest.split_at(equals);
        let rest = rest.strip_prefix('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            None => {
                let end = rest.bytes().position(|b| b == b' ').unwrap_or(rest.len());
                (Raw::Word(&rest[..end]), &rest[end..])
            }
            Some(rest) => {
                let end = closing(rest)?;
                (Raw::Quoted(&rest[..end]), &rest[end + 1..])
            }
        };
        self.0 = rest;
        Some((name, value))
    }
}

/// Where the quotes are closed.
fn closing(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let found = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        found
    })
}

/// A value as it stands in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raw<'a> {
    /// A plain word.
    Word(&'a str),
    /// What stood between quotes, still escaped.
    Quoted(&'a str),
}

impl<'a> Raw<'a> {
    /// The value as it was before it was written.
    pub(super) fn text(self) -> Cow<'a, str> {
        match self {
            Raw::Word(word) => word.into(),
            Raw::Quoted(text) if !text.contains('\\') => text.into(),
            Raw::Quoted(text) => unescaped(text).into(),
        }
    }

    /// The value if it needed no quotes; else nothing that anybody would take for a number.
    pub(super) fn word(self) -> &'a str {
        match self {
            Raw::Word(word) => word,
            Raw::Quoted(_) => "",
        }
    }
}

/// Undoes the escapes of a JSON string. What is no escape stays as it is.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let (c, length) = match escape.as_bytes().first() {
            Some(b'n') => (Some('\n'), 1),
            Some(b'r') => (Some('\r'), 1),
            Some(b't') => (Some('\t'), 1),
            Some(quoted @ (b'"' | b'\\' | b'/')) => (Some(char::from(*quoted)), 1),
            Some(b'b') => (Some('\u{8}'), 1),
            Some(b'f') => (Some('\u{c}'), 1),
            Some(b'u') => utf16(escape),
            _ => (None, 0),
        };
        plain.push(c.unwrap_or('\\'));
        rest = &escape[length..];
    }
    plain.push_str(rest);
    plain
}

/// `u001b`, or two such for a character beyond U+FFFF, and how long that is.
fn utf16(escape: &str) -> (Option<char>, usize) {
    let unit = |escape: &str| {
        let digits = escape.strip_prefix('u')?.get(..4)?;
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| hex)
    };
    let Some(first) = unit(escape) else { return (None, 0) };
    let second = escape.get(5..).and_then(|rest| unit(rest.strip_prefix('\\')?));
    let mut read = char::decode_utf16([Some(first), second].into_iter().flatten());
    match read.next() {
        Some(Ok(c)) => (Some(c), if c.len_utf16() == 1 { 5 } else { 11 }),
        _ => (None, 0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_and_quotes() {
        let all = |line| -> Vec<(String, String)> {
            Fields(line).map(|(name, raw)| (name.into(), raw.text().into())).collect()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (line, expected) in [
            ("", vec![]),
            ("IN= SRC=::1", vec![pair("IN", ""), pair("SRC", "::1")]),
            (r#"a="b c" d=e"#, vec![pair("a", "b c"), pair("d", "e")]),
            (r#"a="\"\\\n\u202eé" b=1"#, vec![pair("a", "\"\\\n\u{202e}é"), pair("b", "1")]),
            (r#"a="x id=1"#, vec![]),
            ("word a=1", vec![]),
            ("a=1 word", vec![pair("a", "1")]),
            (r#"a="\q\u{110000}\u{" b="""#, vec![pair("a", r"\q\u{110000}\u{"), pair("b", "")]),
            (r#"a="\u001b\ud83d\ude00\/\b""#, vec![pair("a", "\u{1b}😀/\u{8}")]),
            (r#"a="\ud83d\u00e9\u12\u+123""#, vec![pair("a", "\\ud83dé\\u12\\u+123")]),
        ] {
            assert_eq!(all(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn escaped_and_read_again(text in any::<String>()) {
            let line = format!("a={} b=1", serde_json::to_string(&text).unwrap());
            let fields: Vec<_> = Fields(&line).collect();
            prop_assert_eq!(fields.len(), 2);
            prop_assert_eq!(fields[0].1.text(), text);
        }

        #[test]
        fn whatever_comes(text in any::<String>()) {
            for (_, raw) in Fields(&text) {
                raw.text();
            }
        }
    }
}
