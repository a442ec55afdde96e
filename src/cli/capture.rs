//! `portcullis capture`: what comes, and what the gate makes of it, as it comes.
//!
//! The daemon sends packets through the control socket; the file is this program's, so it is
//! written with the rights of whoever asks.

mod outcome;
mod output;

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use ipnet::IpNet;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::outcome::{End, Outcome};
use self::output::Output;
use super::asked;
use super::layout::wrap;
use crate::capture::Block;
use crate::config::typed;
use crate::control::{CaptureWish, Request, Response, Streamed};
use crate::events::Span;
use crate::policy::PortSet;

/// The daemon tells every second that it is there.
const PATIENCE: Duration = Duration::from_secs(10);
/// EX_CANTCREAT and EX_IOERR of sysexits.
const CANNOT_CREATE: u8 = 73;
const IO_ERROR: u8 = 74;

/// Show connection attempts as they come, with what the gate makes of each, or write them to a file
/// for Wireshark and `portcullis replay`
///
/// What the kernel drops by itself never reaches the gate and is not among them: banned sources,
/// suspects at closed ports, floods over the ceiling.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Write packets to this file as pcapng, the decision as each one's comment; `-` is standard
    /// output. Without it, one line per packet is shown
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// What was let in, too, not only what was refused
    #[arg(long)]
    all: bool,
    /// Only from this address or prefix; may be repeated
    #[arg(long, value_name = "PREFIX", value_parser = net)]
    from: Vec<IpNet>,
    /// Only to these ports: 22, or "22, 8000-8999"
    #[arg(long, value_name = "PORTS", value_parser = typed::ports)]
    port: Option<PortSet>,
    /// End after so long
    #[arg(long = "for", value_name = "SPAN", value_parser = span, default_value = "10m")]
    lasts: Duration,
    /// End after so many packets
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// At most so many packets a second; the others are counted (0: no bound)
    #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
    rate: u32,
    /// A file is full at this size. Then the capture ends, unless there may be more --files
    #[arg(long, value_name = "SIZE", value_parser = typed::size, default_value = "100MB")]
    max_size: u64,
    /// When the file is full, begin another one and keep so many: FILE, FILE.1 and so on
    #[arg(long, value_name = "NUMBER", requires = "write",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    files: Option<u32>,
}

/// Captures until it ends by itself or by Ctrl-C. With `json`, what came of it is told in JSON.
pub fn run(args: &Args, socket: &Path, json: bool) -> ExitCode {
    let mut output = match Output::new(args.write.as_deref(), args.max_size, args.files) {
        Ok(output) => output,
        Err(text) => {
            asked::complain(&text);
            return ExitCode::from(CANNOT_CREATE);
        }
    };
    let (answer, mut stream) = match asked::follow(socket, &Request::Capture(wish(args)), PATIENCE)
    {
        Ok(followed) => followed,
        Err(code) => return code,
    };
    let Response::Done(begun) = answer else { return asked::misunderstood() };
    let stopped = Arc::new(AtomicBool::new(false));
    if let Err(error) = stop_on_signals(&stream, &stopped) {
        asked::complain(&format!("cannot catch Ctrl-C: {error}"));
        return ExitCode::from(71);
    }
    if io::stderr().is_terminal() {
        let end = format!("{}; ends after {} or with Ctrl-C", begun.text, Span(args.lasts));
        eprint!("{}", wrap("", &end));
    }
    let mut outcome = copy(&mut stream, &mut output);
    if stopped.load(SeqCst) {
        outcome.end = End::Asked;
    }
    outcome.files = output.written();
    let text = if json { outcome.json() } else { wrap("", &outcome.to_string()) };
    // Standard output is where packets go.
    eprint!("{text}");
    match outcome.end {
        End::Failed(_) => ExitCode::from(IO_ERROR),
        End::Lost => ExitCode::from(69),
        End::Bound | End::Full | End::Asked | End::Unread => ExitCode::SUCCESS,
    }
}

/// Ctrl-C ends the stream, and with it the capture; what came until then is whole.
fn stop_on_signals(stream: &Streamed, stopped: &Arc<AtomicBool>) -> io::Result<()> {
    let stop = stream.stopper()?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stopped = Arc::clone(stopped);
    thread::Builder::new().name("signals".into()).spawn(move || {
        if signals.forever().next().is_some() {
            stopped.store(true, SeqCst);
            stop();
        }
    })?;
    Ok(())
}

/// Copies packets until one of both sides is at its end.
fn copy(stream: &mut impl Read, output: &mut Output) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        let block = match Block::read(stream) {
            Ok(Some(block)) => block,
            // The last thing that a stream tells is how many packets there were.
            Ok(None) if outcome.whole => return outcome,
            Ok(None) | Err(_) => return Outcome { end: End::Lost, ..outcome },
        };
        outcome.whole = matches!(block, Block::Statistics(..));
        let packet = matches!(block, Block::Packet { .. });
        if let Block::Statistics(_, told) = block {
            outcome.told = told;
        }
        match output.take(&block) {
            Ok(true) => outcome.packets += u64::from(packet),
            Ok(false) => return Outcome { end: End::Full, ..outcome },
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return Outcome { end: End::Unread, ..outcome };
            }
            Err(error) => return Outcome { end: End::Failed(error.to_string()), ..outcome },
        }
    }
}

fn wish(args: &Args) -> CaptureWish {
    let ports = args.port.iter().flat_map(PortSet::ranges);
    CaptureWish {
        all: args.all,
        from: args.from.clone(),
        ports: ports.map(|range| (*range.start(), *range.end())).collect(),
        lasts: args.lasts,
        count: args.count,
        rate: args.rate,
    }
}

fn net(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text
        .parse()
        .or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()))
        .map_err(|_| "not an address (203.0.113.7, 2001:db8::7) or prefix (203.0.113.0/24)")?;
    if net.trunc() == net { Ok(net) } else { Err(format!("did you mean {}?", net.trunc())) }
}

fn span(text: &str) -> Result<Duration, String> {
    let Span(span) = text.parse::<Span>().map_err(|error| error.to_string())?;
    match span.as_secs() {
        0 => Err("must be at least a second".to_owned()),
        1..=604_800 => Ok(span),
        _ => Err("must be at most 7d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::capture::{Statistics, head, statistics};

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        args: Args,
    }

    fn typed(words: &str) -> Result<CaptureWish, String> {
        let words = std::iter::once("capture").chain(words.split_whitespace());
        let typed = Typed::try_parse_from(words).map_err(|error| error.to_string())?;
        Ok(wish(&typed.args))
    }

    #[test]
    fn what_is_typed_is_what_is_wished() {
        let plain = typed("").unwrap();
        assert_eq!((plain.all, plain.lasts.as_secs(), plain.rate), (false, 600, 1000));
        let wish =
            typed("--all --from 192.0.2.0/24 --from ::1 --port 22,80-90 --for 30s --count 5");
        let wish = wish.unwrap();
        assert_eq!(wish.ports, [(22, 22), (80, 90)]);
        assert_eq!((wish.from.len(), wish.lasts.as_secs(), wish.count), (2, 30, Some(5)));
        for (wrong, why) in [
            ("--from 192.0.2.7/24", "did you mean 192.0.2.0/24?"),
            ("--from office", "not an address"),
            ("--port ssh", "ssh"),
            ("--for 0s", "at least a second"),
            ("--for 8d", "at most 7d"),
            ("--max-size 1", "kB, MB or GB"),
            ("--files 3", "--write"),
        ] {
            let error = typed(wrong).unwrap_err();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = Statistics { wanted: 1, passed_over: 5, lost: 0 };
        let whole = [head(), statistics(1, told)].concat();
        for (n, length) in [0, head().len(), whole.len() - 1, whole.len()].into_iter().enumerate() {
            let path = folder.path().join(n.to_string());
            let mut output = Output::new(Some(&path), 10_000, None).unwrap();
            let outcome = copy(&mut &whole[..length], &mut output);
            let expected = if length == whole.len() { End::Bound } else { End::Lost };
            assert_eq!(outcome.end, expected, "{length}");
            assert_eq!(outcome.told == told, length == whole.len());
        }
    }
}
