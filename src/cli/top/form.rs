//! A ban, as it is typed: for how long, where, why; then whether one is sure.

use std::time::Duration;

use ipnet::IpNet;

use super::keys::Typing;
use crate::cli::bans;
use crate::control::Request;
use crate::events::Span;
use crate::policy::Standing;

/// The longest that may be typed into a field.
const LONGEST: usize = 200;

/// A ban that is not yet one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Whom.
    pub(super) net: IpNet,
    /// For how long, at which port, why.
    pub(super) fields: [String; 3],
    /// The field that is typed into.
    pub(super) at: usize,
    /// What is wrong with it.
    pub(super) wrong: Option<String>,
    /// All is typed: only the yes is missing.
    pub(super) asks: bool,
}

/// The names of the fields, and what an empty one means.
pub(super) const FIELDS: [(&str, &str); 3] = [
    ("for", "10m, 1h or 7d; empty: the policy's first duration"),
    ("port", "empty: every port"),
    ("reason", "for the log and the list; may be empty"),
];

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Stay,
    Leave,
}

impl Form {
    /// A ban of `net`.
    pub(super) fn new(net: IpNet) -> Self {
        Self { net, fields: Default::default(), at: 0, wrong: None, asks: false }
    }

    /// A key, while it is typed.
    pub(super) fn typed(&mut self, typing: Typing) -> Step {
        let field = &mut self.fields[self.at];
        match typing {
            Typing::Letter(letter) if field.chars().count() < LONGEST => field.push(letter),
            Typing::Letter(_) => {}
            Typing::Rub => drop(field.pop()),
            Typing::Wipe => field.clear(),
            Typing::Leave => return Step::Leave,
            Typing::Before => self.at = (self.at + FIELDS.len() - 1) % FIELDS.len(),
            Typing::Next => self.at = (self.at + 1) % FIELDS.len(),
            Typing::Done => {
                self.wrong = None;
                match self.request() {
                    Err((field, wrong)) if field <= self.at => {
                        (self.at, self.wrong) = (field, Some(wrong));
                    }
                    _ if self.at + 1 < FIELDS.len() => self.at += 1,
                    Err((field, wrong)) => (self.at, self.wrong) = (field, Some(wrong)),
                    Ok(_) => self.asks = true,
                }
            }
        }
        Step::Stay
    }

    /// The order to the daemon.
    ///
    /// # Errors
    /// Which field is wrong, and what is wrong with it.
    pub(super) fn request(&self) -> Result<Request, (usize, String)> {
        let lasts = self.lasts().map_err(|wrong| (0, wrong))?;
        let port = self.port().map_err(|wrong| (1, wrong))?;
        let reason = self.fields[2].trim().to_owned();
        Ok(Request::BansAdd { net: self.net, port, standing: Standing::Banned, lasts, reason })
    }

    /// What is to be answered with yes or no.
    pub(super) fn question(&self) -> String {
        let port = self.port().ok().flatten();
        let at = port.map_or_else(String::new, |port| format!(" at port {port}"));
        let lasts = match self.lasts() {
            Ok(Some(lasts)) => format!("for {}", Span(lasts)),
            _ => "for as long as the policy says".to_owned(),
        };
        format!("Ban {}{at} {lasts}?", bans::name(self.net))
    }

    fn lasts(&self) -> Result<Option<Duration>, String> {
        let text = self.fields[0].trim();
        if text.is_empty() { Ok(None) } else { bans::span(text).map(Some) }
    }

    fn port(&self) -> Result<Option<u16>, String> {
        match self.fields[1].trim() {
            "" => Ok(None),
            text => match text.parse() {
                Ok(port) if port > 0 => Ok(Some(port)),
                _ => Err("not a port: a number from 1 to 65535".to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(form: &mut Form, text: &str) {
        for letter in text.chars() {
            let typing = if letter == '\n' { Typing::Done } else { Typing::Letter(letter) };
            assert_eq!(form.typed(typing), Step::Stay);
        }
    }

    fn form() -> Form {
        Form::new("192.0.2.66/32".parse().unwrap())
    }

    #[test]
    fn a_ban_as_it_is_typed() {
        let mut form = form();
        typed(&mut form, "1h\n22\nguesses passwords\n");
        assert!(form.asks);
        assert_eq!(form.question(), "Ban 192.0.2.66 at port 22 for 1h?");
        assert_eq!(
            form.request(),
            Ok(Request::BansAdd {
                net: form.net,
                port: Some(22),
                standing: Standing::Banned,
                lasts: Some(Duration::from_secs(3600)),
                reason: "guesses passwords".into(),
            })
        );
    }

    #[test]
    fn all_of_it_may_be_left_empty() {
        let mut form = form();
        typed(&mut form, "\n\n\n");
        assert!(form.asks);
        assert_eq!(form.question(), "Ban 192.0.2.66 for as long as the policy says?");
    }

    #[test]
    fn mistakes_are_told_where_they_are() {
        let mut form = form();
        typed(&mut form, "soon\n");
        assert_eq!((form.at, form.asks), (0, false));
        assert!(form.wrong.as_deref().unwrap().contains("10m"));
        form.typed(Typing::Wipe);
        typed(&mut form, "10m\n70000\n");
        assert_eq!(form.at, 1);
        assert!(form.wrong.as_deref().unwrap().contains("65535"));
        form.typed(Typing::Before);
        form.typed(Typing::Next);
        for _ in 0..4 {
            form.typed(Typing::Rub);
        }
        typed(&mut form, "\n\n");
        assert!(form.asks && form.question().contains("at port 7 for 10m"));
        assert_eq!(form.typed(Typing::Leave), Step::Leave);
    }
}
