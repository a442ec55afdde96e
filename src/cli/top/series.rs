//! What a rate was over the last minutes.

use std::collections::VecDeque;

/// Readings that are kept: eight minutes of seconds, two of the shortest interval.
const KEPT: usize = 480;

/// Readings of a rate, one per interval, the newest last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Series {
    readings: VecDeque<f32>,
    /// How many there ever were.
    taken: usize,
}

impl Series {
    /// A series that begins late: it was nothing before.
    pub(super) fn since(taken: usize) -> Self {
        let readings = std::iter::repeat_n(0.0, taken.min(KEPT)).collect();
        Self { readings, taken }
    }

    /// Adds a reading.
    pub(super) fn push(&mut self, rate: f32) {
        if self.readings.len() == KEPT {
            self.readings.pop_front();
        }
        self.readings.push_back(rate);
        self.taken += 1;
    }

    /// How many readings there ever were.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// The mean of the last `count` readings; 0 without any.
    pub(super) fn mean(&self, count: usize) -> f32 {
        let last = self.readings.iter().rev().take(count);
        let count = last.len();
        if count == 0 { 0.0 } else { last.sum::<f32>() / count as f32 }
    }

    /// Was it nothing all the time?
    pub(super) fn is_quiet(&self) -> bool {
        self.readings.iter().all(|rate| *rate == 0.0)
    }

    /// The last readings as `width` columns of `step` readings each, the newest at the right; `None`
    /// from before the first. Columns begin at multiples of `step`, so that what was drawn once
    /// moves, but does not change its shape.
    pub(super) fn columns(&self, width: usize, step: usize) -> Vec<Option<f32>> {
        let step = step.max(1);
        let first = self.taken - self.readings.len();
        let last = self.taken.div_ceil(step);
        let column = |n: usize| {
            let (from, to) = ((n * step).max(first), ((n + 1) * step).min(self.taken));
            let readings = self.readings.range(from.min(to) - first..to - first);
            let count = readings.len();
            (count > 0).then(|| readings.sum::<f32>() / count as f32)
        };
        (0..width)
            .map(|n| {
                (last + n).checked_sub(width).filter(|n| (n + 1) * step > first).and_then(column)
            })
            .collect()
    }
}

/// Bars from low to high; the lowest is nothing at all.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Readings as bars, drawn to the height of `most`; a space where there is none.
pub(super) fn bars(columns: &[Option<f32>], most: f32) -> String {
    let bar = |rate: &Option<f32>| match rate {
        None => ' ',
        Some(rate) if *rate <= 0.0 => BARS[0],
        Some(rate) => {
            let height = (rate / most.max(f32::MIN_POSITIVE) * 7.0).ceil() as usize;
            BARS[height.clamp(1, 7)]
        }
    };
    columns.iter().map(bar).collect()
}

/// The highest of some columns.
pub(super) fn highest(columns: &[Option<f32>]) -> f32 {
    columns.iter().flatten().copied().fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(readings: impl IntoIterator<Item = f32>) -> Series {
        let mut series = Series::default();
        readings.into_iter().for_each(|rate| series.push(rate));
        series
    }

    #[test]
    fn means_and_columns() {
        let counted = series([1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!((counted.mean(2), counted.mean(9), Series::default().mean(3)), (4.5, 3.0, 0.0));
        assert_eq!(counted.columns(3, 1), [Some(3.0), Some(4.0), Some(5.0)]);
        assert_eq!(counted.columns(4, 2), [None, Some(1.5), Some(3.5), Some(5.0)]);
        assert_eq!(Series::default().columns(2, 3), [None, None]);
        assert!(!counted.is_quiet() && Series::since(7).is_quiet());
        assert_eq!(Series::since(2).columns(3, 1), [None, Some(0.0), Some(0.0)]);
    }

    #[test]
    fn shapes_move_and_stay() {
        let mut counted = series((0..600).map(|n| (n % 7) as f32));
        assert_eq!(counted.readings.len(), KEPT);
        // 600 is a multiple of 3: the next readings begin a column.
        let before = counted.columns(10, 3);
        counted.push(9.0);
        let after = counted.columns(10, 3);
        assert_eq!((&before[1..], after[9]), (&after[..9], Some(9.0)));
        counted.push(3.0);
        assert_eq!(counted.columns(10, 3)[..9], after[..9]);
        // More than there is: all of it, nothing before.
        let all = counted.columns(700, 1);
        assert_eq!(all.iter().filter(|column| column.is_some()).count(), KEPT);
    }

    #[test]
    fn heights() {
        let columns = [None, Some(0.0), Some(0.01), Some(5.0), Some(10.0)];
        assert_eq!(bars(&columns, highest(&columns)), " ▁▂▅█");
        assert_eq!(bars(&[Some(0.0)], 0.0), "▁");
        // Higher than the highest that was said.
        assert_eq!(bars(&[Some(9.0)], 3.0), "█");
    }
}
