//! `[guard]`, `[queue]`, `[memory]`: how SYNs reach the gate, and how much it holds.

use std::time::Duration;

use super::{DAY, FAIL_MODES};
use crate::config::section::Section;
use crate::config::settings::{Guard, Queue, Redirect, Table};
use crate::config::units::Mistake;

pub(super) fn guard(table: &mut Section<'_, '_>) -> Guard {
    let default = Guard::default();
    let redirects = [
        ("auto", Redirect::Auto),
        ("nft", Redirect::Nft),
        ("iptables", Redirect::Iptables),
        ("manual", Redirect::Manual),
    ];
    let burst = default.ceiling.map_or(1, |rate| rate.burst);
    Guard {
        redirect: table.word("redirect", default.redirect, &redirects),
        protect: table.nets("protect").into_iter().map(|(net, _)| net).collect(),
        when_down: table.word("when_down", default.when_down, &FAIL_MODES),
        ceiling: table.kernel_rate("ceiling", default.ceiling, Some(("ceiling_burst", burst))),
        mark_bit: table.number("mark_bit", default.mark_bit, 0..=29),
        proven_for: table.duration(
            "proven_for",
            default.proven_for,
            Duration::from_secs(60)..=365 * DAY,
        ),
        set_size: table.number("set_size", default.set_size, 1024..=16_777_216),
    }
}

pub(super) fn queue(table: &mut Section<'_, '_>) -> Queue {
    let default = Queue::default();
    let queue = Queue {
        number: table.number("number", default.number, 0..=u16::MAX),
        threads: table.number("threads", default.threads, 1..=64),
        length: table.number("length", default.length, 64..=1_048_576),
        when_full: table.word("when_full", default.when_full, &FAIL_MODES),
        max_rate: table.kernel_rate("max_rate", default.max_rate, None),
        when_over: table.word("when_over", default.when_over, &FAIL_MODES),
    };
    let last = u32::from(queue.number) + u32::from(queue.threads) - 1;
    if last > u32::from(u16::MAX) {
        let message = format!("the last queue would be number {last}; the kernel ends at 65535");
        let help = format!(
            "choose number = {} or lower, or fewer threads",
            65_536 - u32::from(queue.threads)
        );
        table.error(&["number", "threads"], Mistake::new(message).help(help));
        return default;
    }
    queue
}

pub(super) fn memory(table: &mut Section<'_, '_>) -> Table {
    let default = Table::default();
    Table {
        sources: table.number("sources", default.sources, 1024..=16_777_216),
        networks: table.number("networks", default.networks, 256..=4_194_304),
    }
}
