//! The text format from before OpenMetrics (Prometheus exposition format, version 0.0.4), which is
//! what node_exporter reads from its folder: it refuses a file with a type that it does not know.
//!
//! Our expositions differ from it in few lines: a counter is declared with its whole name, what
//! OpenMetrics calls info is a gauge, and units and the end are not told.

use std::fmt::Write;

/// An exposition of ours in the older format.
pub(super) fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 1024);
    // The help of a family comes before its type, on which the declared name depends.
    let mut help = None;
    for line in open_metrics.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        let written = match words[..] {
            ["#", "HELP", name, words] => {
                help = Some((name, words));
                Ok(())
            }
            ["#", "TYPE", name, kind] => {
                let (end, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    other => ("", other),
                };
                let help = help.take().filter(|(of, _)| *of == name).map(|(_, words)| words);
                help.map_or(Ok(()), |words| writeln!(text, "# HELP {name}{end} {words}"))
                    .and_then(|()| writeln!(text, "# TYPE {name}{end} {kind}"))
            }
            ["#", ..] => Ok(()),
            _ => writeln!(text, "{line}"),
        };
        debug_assert!(written.is_ok(), "a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ() {
        let open = "# HELP p_a How many, and why.\n# TYPE p_a counter\np_a_total{x=\"# HELP y z\"} 1\n\
                    # HELP p_s Span.\n# TYPE p_s_seconds gauge\n# UNIT p_s_seconds seconds\np_s_seconds 1.5\n\
                    # TYPE p_b info\np_b_info{v=\"1\"} 1\n# EOF\n";
        let expected = "# HELP p_a_total How many, and why.\n# TYPE p_a_total counter\np_a_total{x=\"# HELP y z\"} 1\n\
                        # TYPE p_s_seconds gauge\np_s_seconds 1.5\n\
                        # TYPE p_b_info gauge\np_b_info{v=\"1\"} 1\n";
        assert_eq!(classic(open), expected);
        assert_eq!(classic("# EOF\n"), "");
    }
}
