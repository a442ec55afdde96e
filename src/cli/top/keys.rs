//! What keys mean.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does while the tables are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Quit,
    Help,
    Alarms,
    NextTable,
    TableBefore,
    /// So many rows down; up if negative.
    Move(isize),
    Sort,
    Filter,
    /// Whatever is laid over the tables, or else the filter, goes.
    Clear,
    Explain,
    Ban,
    Unban,
    Pause,
}

/// Further than any table is long.
pub(super) const FAR: isize = 1_000_000;
/// What a page is taken for. Pages need not be exact to be useful.
pub(super) const PAGE: isize = 10;

/// While the tables are looked at.
pub(super) fn looking(key: KeyEvent) -> Option<Act> {
    if let Some(rows) = moving(key) {
        return Some(Act::Move(rows));
    }
    Some(match key.code {
        KeyCode::Char('q') => Act::Quit,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => Act::Help,
        KeyCode::Char('a') => Act::Alarms,
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => Act::NextTable,
        KeyCode::BackTab | KeyCode::Left => Act::TableBefore,
        KeyCode::Char('s') => Act::Sort,
        KeyCode::Char('/') => Act::Filter,
        KeyCode::Esc => Act::Clear,
        KeyCode::Char('e') | KeyCode::Enter => Act::Explain,
        KeyCode::Char('b') => Act::Ban,
        KeyCode::Char('u') => Act::Unban,
        KeyCode::Char('p' | ' ') => Act::Pause,
        _ => return None,
    })
}

/// Rows to go down, if it is a key for moving.
fn moving(key: KeyEvent) -> Option<isize> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('d' | 'f') if control => PAGE,
        KeyCode::Char('u' | 'b') if control => -PAGE,
        _ if control => return None,
        KeyCode::Up | KeyCode::Char('k') => -1,
        KeyCode::Down | KeyCode::Char('j') => 1,
        KeyCode::PageUp => -PAGE,
        KeyCode::PageDown => PAGE,
        KeyCode::Home | KeyCode::Char('g') => -FAR,
        KeyCode::End | KeyCode::Char('G') => FAR,
        _ => return None,
    })
}

/// What a key does while a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Move(isize),
    Close,
}

/// While a text lies over the tables.
pub(super) fn reading(key: KeyEvent) -> Option<Reading> {
    match key.code {
        KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?' | 'e' | 'a' | 'h') => {
            Some(Reading::Close)
        }
        _ => moving(key).map(Reading::Move),
    }
}

/// What a key does while something is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typing {
    Letter(char),
    /// The last letter goes.
    Rub,
    /// All letters go.
    Wipe,
    /// To the next field.
    Next,
    /// To the field before.
    Before,
    Done,
    Leave,
}

/// While something is typed.
pub(super) fn typing(key: KeyEvent) -> Option<Typing> {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char('u' | 'w') if control => Typing::Wipe,
        KeyCode::Char('h') if control => Typing::Rub,
        KeyCode::Char(letter) if !control && !letter.is_control() => Typing::Letter(letter),
        KeyCode::Backspace => Typing::Rub,
        KeyCode::Tab | KeyCode::Down => Typing::Next,
        KeyCode::BackTab | KeyCode::Up => Typing::Before,
        KeyCode::Enter => Typing::Done,
        KeyCode::Esc => Typing::Leave,
        _ => return None,
    })
}

/// What a key answers to "are you sure?".
pub(super) fn sure(key: KeyEvent) -> Option<bool> {
    match key.code {
        KeyCode::Char('y' | 'Y') => Some(true),
        KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => Some(false),
        _ => None,
    }
}

/// Ctrl-C, wherever one is.
pub(super) fn ends(key: KeyEvent) -> bool {
    is_control(key, 'c')
}

/// Ctrl-Z, wherever one is.
pub(super) fn suspends(key: KeyEvent) -> bool {
    is_control(key, 'z')
}

fn is_control(key: KeyEvent, letter: char) -> bool {
    key.code == KeyCode::Char(letter) && key.modifiers.contains(KeyModifiers::CONTROL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    fn letter(letter: char) -> KeyEvent {
        plain(KeyCode::Char(letter))
    }

    fn control(letter: char) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)
    }

    #[test]
    fn keys_of_the_tables() {
        use KeyCode::*;
        for (code, act) in [
            (Char('q'), Act::Quit),
            (Char('?'), Act::Help),
            (Char('a'), Act::Alarms),
            (Tab, Act::NextTable),
            (BackTab, Act::TableBefore),
            (Char('j'), Act::Move(1)),
            (Down, Act::Move(1)),
            (Char('k'), Act::Move(-1)),
            (PageDown, Act::Move(PAGE)),
            (Char('G'), Act::Move(FAR)),
            (Home, Act::Move(-FAR)),
            (Char('s'), Act::Sort),
            (Char('/'), Act::Filter),
            (Esc, Act::Clear),
            (Enter, Act::Explain),
            (Char('e'), Act::Explain),
            (Char('b'), Act::Ban),
            (Char('u'), Act::Unban),
            (Char('p'), Act::Pause),
        ] {
            assert_eq!(looking(plain(code)), Some(act), "{code:?}");
        }
        // Ctrl-B and Ctrl-U are pages, and never a ban.
        assert_eq!(looking(control('b')), Some(Act::Move(-PAGE)));
        assert_eq!(looking(control('u')), Some(Act::Move(-PAGE)));
        for code in [Char('x'), Char('B'), F(5), Insert] {
            assert_eq!(looking(plain(code)), None, "{code:?}");
        }
    }

    #[test]
    fn keys_elsewhere() {
        assert_eq!(reading(letter('q')), Some(Reading::Close));
        assert_eq!(reading(letter('j')), Some(Reading::Move(1)));
        assert_eq!(reading(letter('b')), None);
        assert_eq!(typing(letter('q')), Some(Typing::Letter('q')));
        assert_eq!(typing(control('u')), Some(Typing::Wipe));
        assert_eq!(typing(control('x')), None);
        assert_eq!(typing(letter('\u{1b}')), None);
        assert_eq!(typing(plain(KeyCode::Enter)), Some(Typing::Done));
        assert_eq!(
            [letter('y'), letter('n'), plain(KeyCode::Enter)].map(sure),
            [Some(true), Some(false), None]
        );
        assert!(ends(control('c')) && !ends(letter('c')) && suspends(control('z')));
    }
}
