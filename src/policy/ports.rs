//! Sets of TCP ports.

use std::fmt;
use std::ops::RangeInclusive;

/// A set of TCP ports: one bit each, 8 KiB, so that asking costs one memory access.
#[derive(Clone, PartialEq, Eq)]
pub struct PortSet(Box<[u64; 1024]>);

impl PortSet {
    /// Adds a port.
    pub fn insert(&mut self, port: u16) {
        self.0[usize::from(port >> 6)] |= 1 << (port & 63);
    }

    /// Adds every port of a range.
    pub fn insert_range(&mut self, range: RangeInclusive<u16>) {
        range.for_each(|port| self.insert(port));
    }

    /// Adds every port of another set.
    pub fn join(&mut self, other: &PortSet) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(own, other)| *own |= other);
    }

    /// Takes every port of another set out.
    pub fn subtract(&mut self, other: &PortSet) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(own, other)| *own &= !other);
    }

    /// Is `port` in the set?
    #[inline]
    pub fn contains(&self, port: u16) -> bool {
        self.0[usize::from(port >> 6)] & (1 << (port & 63)) != 0
    }

    /// Is the set empty?
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The ports, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        // Most words have none.
        let words = (0_u16..1024).zip(self.0.iter()).filter(|(_, word)| **word != 0);
        words.flat_map(|(n, word)| {
            (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| n * 64 + bit)
        })
    }

    /// The set as ascending ranges that do not touch each other.
    pub fn ranges(&self) -> Vec<RangeInclusive<u16>> {
        let mut ranges: Vec<RangeInclusive<u16>> = Vec::new();
        for port in self.iter() {
            match ranges.last_mut() {
                Some(last) if port > 0 && *last.end() == port - 1 => *last = *last.start()..=port,
                _ => ranges.push(port..=port),
            }
        }
        ranges
    }
}

impl Default for PortSet {
    fn default() -> Self {
        Self(Box::new([0; 1024]))
    }
}

impl FromIterator<u16> for PortSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        let mut set = Self::default();
        ports.into_iter().for_each(|port| set.insert(port));
        set
    }
}

/// As a policy file writes it: `22, 80, 8000-8999`.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.ranges().iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            if range.start() == range.end() {
                write!(f, "{comma}{}", range.start())?;
            } else {
                write!(f, "{comma}{}-{}", range.start(), range.end())?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PortSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_print() {
        let mut set: PortSet = [80, 22, 23, 65535, 0].into_iter().collect();
        set.insert_range(8000..=8999);
        assert_eq!(set.to_string(), "0, 22-23, 80, 8000-8999, 65535");
        assert!(set.contains(8500) && !set.contains(9000));
        assert!(PortSet::default().is_empty() && !set.is_empty());
    }
}
