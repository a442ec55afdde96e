//! `portcullis replay`: the same judge over captures.

mod notes;
mod screen;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use super::asked::complain;
use crate::config::{self, Config, Mode};
use crate::host;
use crate::policy::PortSet;
use crate::replay::against::differences;
use crate::replay::{Labels, LabelsError, OpenError, Report, Rivals, Scores, ServedFrom, replay};

/// Where the policy is when nobody says.
const POLICY: &str = "/etc/portcullis/portcullis.toml";

/// EX_DATAERR: a capture is damaged, or is none; labels have a mistake.
const BAD_DATA: u8 = 65;
/// EX_NOINPUT: a file is missing.
const NO_INPUT: u8 = 66;
/// EX_IOERR: the answer cannot be written.
const NO_OUTPUT: u8 = 74;
/// EX_CONFIG: a policy has mistakes.
const BAD_CONFIG: u8 = 78;

/// Judge the connections of captures as the gate would have
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Captures: pcap or pcapng. Each starts with an empty memory
    #[arg(value_name = "CAPTURE", required = true)]
    files: Vec<PathBuf>,
    /// The policy [default: /etc/portcullis/portcullis.toml, or the built-in one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Take as served what answers with SYN-ACK in the capture, not the policy's ports
    #[arg(long)]
    served_from_capture: bool,
    /// One JSON object per source and line
    #[arg(long)]
    json: bool,
    /// Who attacks in which capture (file,class,attackers,note): tells how well that was seen
    #[arg(long, value_name = "FILE", conflicts_with = "against")]
    labels: Option<PathBuf>,
    /// Tell only what would change if --config came after this policy
    #[arg(long, value_name = "OLD")]
    against: Option<PathBuf>,
}

/// Replays each file. The exit code is 0, or what was wrong with the last file that had
/// something wrong; all others are told all the same.
pub fn run(args: &Args) -> ExitCode {
    match Replaying::new(args) {
        Ok(mut replaying) => replaying.all(),
        Err(code) => code.into(),
    }
}

/// All that is needed, read and checked.
struct Replaying<'a> {
    args: &'a Args,
    new: Config,
    old: Option<Config>,
    labels: Option<Labels>,
    served: ServedFrom,
    scores: Scores,
    changes: screen::Changes,
}

impl<'a> Replaying<'a> {
    fn new(args: &'a Args) -> Result<Self, u8> {
        let new = match &args.config {
            Some(path) => load(path)?,
            None if Path::new(POLICY).exists() => load(Path::new(POLICY))?,
            None => {
                notes::say(&format!("there is no {POLICY}, so the built-in policy is used"));
                Config::default()
            }
        };
        let old = args.against.as_deref().map(load).transpose()?;
        let labels = args.labels.as_deref().map(Labels::load).transpose().map_err(|error| {
            complain(&format!("the labels cannot be used: {error}"));
            if matches!(error, LabelsError::Open(..)) { NO_INPUT } else { BAD_DATA }
        })?;
        let policies = || [Some(&new), old.as_ref()].into_iter().flatten();
        if policies().any(|config| config.mode == Mode::Observe) {
            notes::say("a policy only observes; what follows is what would happen if it enforced");
        }
        let served = if args.served_from_capture {
            ServedFrom::Capture
        } else {
            let asked = policies().any(|config| config.policy.ports.listening);
            let listening = if asked { listening() } else { PortSet::default() };
            ServedFrom::Policy { listening }
        };
        let changes = screen::Changes::default();
        Ok(Self { args, new, old, labels, served, scores: Scores::default(), changes })
    }

    fn all(&mut self) -> ExitCode {
        let mut out = BufWriter::new(io::stdout().lock());
        let mut code = 0;
        for path in &self.args.files {
            let rivals = Rivals { new: &self.new, old: self.old.as_ref() };
            let bar = bar(path, self.args.served_from_capture);
            let report = replay(path, rivals, &self.served, |done| bar.set_position(done));
            bar.finish_and_clear();
            let written = match report {
                Ok(report) => {
                    if notes::tell(path, &report) {
                        code = BAD_DATA;
                    }
                    self.one(&mut out, path, &report)
                }
                Err(error) => {
                    complain(&format!("{}: {error}", path.display()));
                    code = if matches!(error, OpenError::Io(_)) { NO_INPUT } else { BAD_DATA };
                    Ok(())
                }
            };
            // What was found so far stands on the screen while the next file is read.
            if let Err(error) = written.and_then(|()| out.flush()) {
                return gone(&error);
            }
        }
        match self.sum(&mut out).and_then(|()| out.flush()) {
            Ok(()) => code.into(),
            Err(error) => gone(&error),
        }
    }

    /// What one file came to.
    fn one(&mut self, out: &mut impl Write, path: &Path, report: &Report) -> io::Result<()> {
        let name = path.display().to_string();
        if let Some(labels) = &self.labels {
            match labels.of(path) {
                Some(label) => self.scores.add(&report.tracks, label),
                None => notes::say(&format!("{name}: no label, so it is left out of the figures")),
            }
        }
        // Programs know files by the name that labels give them too.
        let short = path.file_name().map_or(name.clone(), |name| name.to_string_lossy().into());
        match (&report.old, self.args.json) {
            (Some(old), json) => {
                let found = differences(old, &report.tracks);
                self.changes.add(&found);
                if json {
                    found.iter().try_for_each(|change| object(out, &change.line(&short)))
                } else {
                    out.write_all(screen::changes(&name, report, &found).as_bytes())
                }
            }
            (None, true) => {
                for flood in &report.floods {
                    notes::say(&format!("{name}: {}", screen::flood(report, flood)));
                }
                report.tracks.rows().iter().try_for_each(|row| object(out, &row.line(&short)))
            }
            (None, false) => out.write_all(screen::sources(&name, report).as_bytes()),
        }
    }

    /// What all files came to. With `--json` that is for people still, and goes beside the lines.
    fn sum(&self, out: &mut impl Write) -> io::Result<()> {
        let text = if self.args.against.is_some() {
            self.changes.to_string()
        } else if !self.scores.is_empty() {
            screen::scores(&self.scores)
        } else {
            return Ok(());
        };
        if self.args.json {
            io::stderr().write_all(text.as_bytes())
        } else {
            out.write_all(text.as_bytes())
        }
    }
}

fn load(path: &Path) -> Result<Config, u8> {
    match config::load(path) {
        Ok(loaded) => Ok(loaded.config),
        Err(errors) => {
            complain(&errors.to_string());
            Err(if errors.missing { NO_INPUT } else { BAD_CONFIG })
        }
    }
}

/// The policy serves what listens: on this host, because no other can be asked.
fn listening() -> PortSet {
    let ports = host::listening_ports().unwrap_or_default();
    let listed = if ports.is_empty() { "none".to_owned() } else { ports.to_string() };
    notes::say(&format!(
        "the policy serves the ports that listen; on this host these are: {listed}. For a capture \
         of other hosts add --served-from-capture"
    ));
    ports
}

/// One line of JSON.
fn object(out: &mut impl Write, line: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// A bar for a file, on a terminal only; a small file is done before it would be drawn.
fn bar(path: &Path, twice: bool) -> ProgressBar {
    let length = path.metadata().map_or(0, |about| about.len());
    let bar = ProgressBar::new(if twice { 2 * length } else { length });
    let template = "{wide_msg} {bar:30} {percent:>3} % {eta:>4}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    bar.with_message(super::layout::clean(&name))
}

/// Standard output does not take it.
fn gone(error: &io::Error) -> ExitCode {
    // The reader has seen enough: `portcullis replay … | head`.
    if error.kind() == io::ErrorKind::BrokenPipe {
        return ExitCode::SUCCESS;
    }
    complain(&format!("cannot write the answer: {error}"));
    NO_OUTPUT.into()
}
