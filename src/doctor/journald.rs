//! How many lines the journal takes of one service (journald.conf(5)).

use std::time::Duration;

/// `RateLimitBurst` lines in `RateLimitIntervalSec`; beyond it, lines are thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Lines, at least: with much free disk space the journal takes up to six times as many.
    pub burst: u64,
    /// In this span.
    pub every: Duration,
}

impl Default for RateLimit {
    /// What systemd does if nobody says otherwise.
    fn default() -> Self {
        Self { burst: 10_000, every: Duration::from_secs(30) }
    }
}

impl RateLimit {
    /// Is there any limit at all? 0 turns it off.
    pub fn limits(self) -> bool {
        self.burst > 0 && !self.every.is_zero()
    }
}

/// Reads configuration files in the order in which they are laid over each other. What cannot be
/// read is left out, as systemd does.
pub fn rate_limit<'a>(files: impl IntoIterator<Item = &'a str>) -> RateLimit {
    let mut limit = RateLimit::default();
    for line in files.into_iter().flat_map(str::lines) {
        let Some((key, value)) = line.trim().split_once('=') else { continue };
        let value = value.trim();
        // A unit says the same for itself with LogRateLimitBurst (systemd.exec(5)).
        let key = key.trim();
        match key.strip_prefix("Log").unwrap_or(key) {
            "RateLimitBurst" if value.is_empty() => limit.burst = RateLimit::default().burst,
            "RateLimitBurst" => limit.burst = value.parse().unwrap_or(limit.burst),
            // Before systemd 236 it was called RateLimitInterval.
            "RateLimitIntervalSec" | "RateLimitInterval" if value.is_empty() => {
                limit.every = RateLimit::default().every;
            }
            "RateLimitIntervalSec" | "RateLimitInterval" => {
                limit.every = span(value).unwrap_or(limit.every);
            }
            _ => {}
        }
    }
    limit
}

/// A span as systemd.time(7) writes it: `30`, `30s`, `1min 30s`, `500ms`.
fn span(text: &str) -> Option<Duration> {
    let mut all = 0.0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let letters = behind.trim_start();
        let end = letters.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(letters.len());
        let (unit, behind) = letters.split_at(end);
        let seconds = match unit {
            "" | "s" | "sec" | "second" | "seconds" => 1.0,
            "us" | "usec" => 1e-6,
            "ms" | "msec" => 1e-3,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hour" | "hours" => 3600.0,
            "d" | "day" | "days" => 86_400.0,
            "w" | "week" | "weeks" => 604_800.0,
            _ => return None,
        };
        all += number.parse::<f64>().ok()? * seconds;
        rest = behind.trim_start();
    }
    Duration::try_from_secs_f64(all).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_laid_over_each_other() {
        for (files, burst, seconds) in [
            (&[""][..], 10_000, 30.0),
            (&["[Journal]\n#RateLimitBurst=1\nRateLimitBurst=500\n"], 500, 30.0),
            (&["RateLimitIntervalSec=1min 30s\nRateLimitBurst = 7", "RateLimitBurst=9"], 9, 90.0),
            (&["RateLimitInterval=500ms", "RateLimitBurst="], 10_000, 0.5),
            (&["RateLimitIntervalSec=0"], 10_000, 0.0),
            (&["RateLimitBurst=5", "[Service]\nLogRateLimitIntervalSec=0"], 5, 0.0),
            (&["RateLimitIntervalSec=soon\nRateLimitBurst=many"], 10_000, 30.0),
        ] {
            let limit = rate_limit(files.iter().copied());
            assert_eq!(limit.burst, burst, "{files:?}");
            assert_eq!(limit.every, Duration::from_secs_f64(seconds), "{files:?}");
            assert_eq!(limit.limits(), seconds > 0.0);
        }
    }
}
