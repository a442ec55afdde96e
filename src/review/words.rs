//! Words that came from outside, made harmless and told apart by number.

/// Without anything that a terminal or a page might act upon: what cannot be seen, or changes the
/// direction of reading, becomes `?`. Cut to `most` characters.
pub(super) fn tame(text: &str, most: usize) -> String {
    let visible = |c: char| match c {
        '"' | '\'' | '\\' => c,
        c if c.escape_debug().len() > 1 => '?',
        c => c,
    };
    let mut tamed: String = text.chars().take(most).map(visible).collect();
    if text.chars().nth(most).is_some() {
        tamed.pop();
        tamed.push('…');
    }
    tamed
}

/// A bounded number of words, each with something counted; all others share the last place.
#[derive(Clone, Debug)]
pub(super) struct Words<T> {
    bound: usize,
    rows: Vec<(String, T)>,
}

/// What stands for all words beyond the bound.
pub(super) const OTHERS: &str = "others";
/// Longer words are cut off.
const LONGEST: usize = 40;

impl<T: Default> Words<T> {
    /// For so many different words, and one place for all others.
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, rows: Vec::new() }
    }

    /// The number of a word.
    pub(super) fn place(&mut self, word: &str) -> usize {
        if let Some(place) = self.rows.iter().position(|(known, _)| known == word) {
            return place;
        }
        let tamed = tame(word, LONGEST);
        if tamed != word {
            return self.place(&tamed);
        }
        if self.rows.len() < self.bound {
            self.rows.push((tamed, T::default()));
        } else if self.rows.len() == self.bound {
            self.rows.push((OTHERS.to_owned(), T::default()));
        }
        self.rows.len() - 1
    }

    /// What is counted for a word.
    pub(super) fn of(&mut self, word: &str) -> &mut T {
        let place = self.place(word);
        &mut self.rows[place].1
    }

    /// All of them, by their numbers.
    pub(super) fn rows(&self) -> &[(String, T)] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tame_words() {
        for (text, expected) in [
            ("rate", "rate"),
            ("a\x1b[31m\u{202e}b\n\u{9b}", "a?[31m?b??"),
            ("it's \"é\\\"", "it's \"é\\\""),
            ("123456789", "1234567…"),
            ("12345678", "12345678"),
        ] {
            assert_eq!(tame(text, if text.starts_with('1') { 8 } else { 40 }), expected);
        }
    }

    #[test]
    fn bounded() {
        let mut words: Words<u32> = Words::new(2);
        for word in ["a", "b", "c", "d", "a", "\n", "c"] {
            *words.of(word) += 1;
        }
        let rows = [("a".into(), 2), ("b".into(), 1), (OTHERS.into(), 4)];
        assert_eq!(words.rows(), rows);
        let long = "x".repeat(100);
        let mut words: Words<u32> = Words::new(2);
        assert_eq!([words.place(&long), words.place(&long)], [0, 0]);
    }
}
