//! Files → one checked [`Config`], or everything that is wrong with them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::problem::{ConfigErrors, Problem};
use super::section::Section;
use super::settings::Config;
use super::source::{Place, ReadError, Source};
use super::tables;
use super::tree::{self, Table};

/// A policy that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// What is not wrong, but worth a look.
    pub warnings: Vec<Problem>,
    /// Every file that was read: the policy, its overlays in order, the list files.
    pub files: Vec<PathBuf>,
}

/// Reads the policy at `path`, then lays `conf.d/*.toml` beside it over it in the order of their
/// names: tables are merged key by key, any other value is replaced. A value that an overlay
/// replaces is not looked at.
///
/// # Errors
///
/// Everything that is wrong with any of the files.
pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
    let main = match Source::read(path) {
        Ok(source) if source.text.trim().is_empty() => {
            let message = "the file is empty".to_owned();
            let help = "if it is being written, try again; if you want the defaults, write \
                        mode = \"enforce\"";
            let problem = Problem::of_file(&source.name, message, Some(help.into()));
            return Err(ConfigErrors { problems: vec![problem], missing: false });
        }
        Ok(source) => source,
        Err(error) => {
            let missing = matches!(error, ReadError::Missing);
            return Err(ConfigErrors { problems: vec![error.problem(path)], missing });
        }
    };
    let mut sources = vec![main];
    let mut files = vec![path.to_owned()];
    let mut unread = Vec::new();
    let folder = path.parent().unwrap_or(Path::new("")).join("conf.d");
    match overlays(&folder) {
        Ok(overlays) => {
            for overlay in overlays {
                match Source::read(&overlay) {
                    Ok(source) => {
                        sources.push(source);
                        files.push(overlay);
                    }
                    Err(error) => unread.push(error.problem(&overlay)),
                }
            }
        }
        Err(error) => {
            let message = format!("the folder of overlays cannot be read: {error}");
            unread.push(Problem::of_file(&folder.display().to_string(), message, None));
        }
    }
    check(&sources, files, unread).0
}

/// Reads a policy from a text that is called `name` in messages; relative paths in it start from
/// the folder of that name.
///
/// # Errors
///
/// Everything that is wrong with the text and with the list files it names.
pub fn parse(text: &str, name: &str) -> Result<Loaded, ConfigErrors> {
    check(&[Source::new(name, text)], Vec::new(), Vec::new()).0
}

/// The overlays in the order of their names; none if there is no such folder.
pub(super) fn overlays(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match folder.read_dir() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        // Editors keep their half-written files under names that begin with a dot.
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if !hidden && Path::new(&name).extension().is_some_and(|end| end == "toml") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads and checks the sources, each laid over those before it. The second part is every key
/// that a policy may have.
pub(super) fn check(
    sources: &[Source],
    mut files: Vec<PathBuf>,
    unread: Vec<Problem>,
) -> (Result<Loaded, ConfigErrors>, BTreeSet<String>) {
    let mut merged = Table::default();
    let mut doubtful = Vec::new();
    let mut errors: Vec<(Place, Problem)> = Vec::new();
    for (file, source) in sources.iter().enumerate() {
        let parsed = tree::parse(source, file);
        let place = |start, end| Place { file, start, end };
        doubtful.extend(parsed.doubtful.into_iter().map(|span| place(span.start, span.end)));
        // Syntax stands before meaning; both are sorted by line below.
        errors.extend(parsed.problems.into_iter().map(|problem| (place(0, 0), problem)));
        merged.overlay(parsed.table);
    }
    let mut findings = Findings::new(sources, doubtful);
    let mut top = Section::top(&merged, &mut findings);
    let reading = tables::read(&mut top);
    top.finish();
    findings.settle_unknown();
    let Findings { errors: wrong, warnings, known, .. } = findings;
    errors.extend(wrong);

    let mut problems = unread;
    problems.extend(in_order(errors));
    problems.extend(reading.bad_lines);
    if !problems.is_empty() {
        return (Err(ConfigErrors { problems, missing: false }), known);
    }
    files.extend(reading.files);
    (Ok(Loaded { config: reading.config, warnings: in_order(warnings), files }), known)
}

fn in_order(mut problems: Vec<(Place, Problem)>) -> Vec<Problem> {
    problems.sort_by_key(|(place, problem)| (place.file, problem.line, problem.column));
    problems.into_iter().map(|(_, problem)| problem).collect()
}
