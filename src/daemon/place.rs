//! The gate's own place: its state folder and its queues.

use std::time::Duration;

use super::Failure;
use crate::config::{Config, FailMode};
use crate::firewall::{self, ReadAhead};
use crate::host;
use crate::queue::{Queue, QueueError, Settings};

/// How long a queue thread waits for a packet before it looks whether the daemon stops.
const PATIENCE: Duration = Duration::from_millis(250);

/// What only one gate can have.
pub(super) struct Place {
    /// The state folder.
    pub(super) alone: firewall::Lock,
    /// What stood in it, as far as that could be seen before it was taken.
    pub(super) ahead: Option<ReadAhead>,
    pub(super) queues: Vec<Queue>,
}

impl Place {
    /// Before the kernel's table is touched: if another gate has the state or a queue, the table is
    /// its own and stays as it is.
    pub(super) fn take(config: &Config, ahead: Option<ReadAhead>) -> Result<Self, Failure> {
        let alone =
            firewall::Lock::take(&config.bans.state_dir).map_err(firewall::StartError::from)?;
        let settings = |number| Settings {
            number,
            length: config.queue.length,
            fail_open: config.when_full() == FailMode::Accept,
            patience: PATIENCE,
        };
        let numbers = (0..config.queue.threads).map(|n| config.queue.number + n);
        let queues = numbers
            .map(|number| Queue::open(settings(number)))
            .collect::<Result<_, _>>()
            .map_err(|error| queue_failure(error, config.queue.threads))?;
        Ok(Self { alone, ahead, queues })
    }
}

/// A queue that belongs to another program is told with that program's name.
fn queue_failure(error: QueueError, threads: u16) -> Failure {
    let QueueError::Taken { number } = error else { return Failure::Queue(error) };
    let holders = host::queue_holders();
    let holder = holders.iter().flatten().find(|holder| holder.number == number);
    let free = host::free_queues(holders.as_deref().unwrap_or_default(), threads);
    match holder {
        Some(holder) => Failure::QueueTaken { number, who: holder.who(), free, how: "" },
        // The service's user sees neither the kernel's table nor other users' programs.
        None => Failure::QueueTaken {
            number,
            who: "another program".to_owned(),
            free,
            how: ".\nWho it is: sudo portcullis doctor",
        },
    }
}
