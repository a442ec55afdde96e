//! Section 8: a page for the program and one for each verb, from what clap knows of them.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};
use portcullis::cli;

use crate::Made;
use crate::marks::{self, bold, inline, line, plain};
use crate::prose;

/// All pages of section 8.
pub(crate) fn pages(date: &str) -> Vec<Made> {
    let program = built();
    let mut pages = vec![of_program(&program, date)];
    pages.extend(verbs(&program).map(|verb| of_verb(verb, date)));
    pages
}

/// The program's arguments, with what clap hands down from command to command.
pub(crate) fn built() -> Command {
    let mut program = cli::command();
    program.build();
    program
}

/// The verbs that people are told of.
pub(crate) fn verbs(program: &Command) -> impl Iterator<Item = &Command> {
    program.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
}

/// The name of a verb's page: `portcullis-bans`.
pub(crate) fn page_name(verb: &Command) -> String {
    format!("portcullis-{}", verb.get_name())
}

fn of_program(program: &Command, date: &str) -> Made {
    let mut page = head("portcullis", program, date);
    page.push_str(".SH SYNOPSIS\n");
    page.push_str(&line(&format!("{} \\fIverb\\fR [\\fIoptions\\fR]", bold("portcullis"))));
    page.push_str(".SH DESCRIPTION\n");
    page.push_str(&line(&sentence(program)));
    let (what, rest) = prose_of("portcullis").split_once("\n# ").unwrap_or_default();
    page.push_str(".PP\n");
    page.push_str(&marks::page(what));
    page.push_str(".SH VERBS\n");
    for verb in verbs(program) {
        _ = write!(page, ".TP\n.BR {} (8)\n", plain(&page_name(verb)));
        page.push_str(&line(&sentence(verb)));
    }
    page.push_str(&marks::page(&format!("# {rest}")));
    page.push_str(&marks::page(prose::EXIT_STATUS));
    let others: Vec<String> = verbs(program).map(page_name).collect();
    let mut also = vec![("portcullis", 7), ("portcullis.toml", 5)];
    also.extend(others.iter().map(|name| (name.as_str(), 8)));
    also.extend([("nft", 8), ("systemctl", 1), ("journalctl", 1)]);
    page.push_str(&see_also(&also));
    Made { path: "man/portcullis.8".into(), text: page }
}

fn of_verb(verb: &Command, date: &str) -> Made {
    let name = page_name(verb);
    let mut page = head(&name, verb, date);
    page.push_str(".SH SYNOPSIS\n");
    page.push_str(&synopses(verb));
    page.push_str(".SH DESCRIPTION\n");
    page.push_str(&line(&sentence(verb)));
    if let Some(more) = verb.get_after_long_help().or(verb.get_after_help()) {
        for row in more.to_string().lines().filter(|row| !row.starts_with("Exit code:")) {
            page.push_str(".PP\n");
            page.push_str(&line(&inline(row)));
        }
    }
    for action in actions(verb) {
        _ = writeln!(
            page,
            ".SS portcullis {} {}",
            plain(verb.get_name()),
            plain(action.get_name())
        );
        page.push_str(&line(&sentence(action)));
        let aliases: Vec<&str> = action.get_visible_aliases().collect();
        if !aliases.is_empty() {
            page.push_str(&line(&inline(&format!("Also `{}`.", aliases.join("`, `")))));
        }
        // What the verb has as well is told once.
        let shared: Vec<_> = verb.get_arguments().map(|arg| arg.get_id().clone()).collect();
        let own = action.clone().mut_args(|arg| {
            let hide = arg.is_hide_set() || shared.contains(arg.get_id());
            arg.hide(hide)
        });
        page.push_str(&options(&own));
    }
    let own = options(verb);
    if !own.is_empty() {
        page.push_str(".SH OPTIONS\n");
        page.push_str(&own);
    }
    page.push_str(&marks::page(prose_of(verb.get_name())));
    page.push_str(&marks::page(prose::EXIT_STATUS));
    page.push_str(&see_also(&[("portcullis", 8), ("portcullis", 7), ("portcullis.toml", 5)]));
    Made { path: format!("man/{name}.8"), text: page }
}

fn head(name: &str, command: &Command, date: &str) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let title = prose::title(name, 8, date);
    format!("{title}.SH NAME\n{} \\- {}\n", plain(name), plain(&lower(&about)))
}

/// What a command does, as a sentence.
fn sentence(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let end = if about.ends_with(['.', '?']) { "" } else { "." };
    inline(&format!("{about}{end}"))
}

/// As the NAME of a page is written: without a capital at the beginning, unless the word is one of
/// capitals.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// Commands under a verb: `portcullis bans add`.
fn actions(verb: &Command) -> impl Iterator<Item = &Command> {
    verb.get_subcommands().filter(|action| !action.is_hide_set() && action.get_name() != "help")
}

/// How a verb is typed, one line for each of its actions.
fn synopses(verb: &Command) -> String {
    let mut lines = vec![synopsis(verb)];
    lines.extend(actions(verb).map(synopsis));
    lines.join(".br\n")
}

fn synopsis(command: &Command) -> String {
    let mut words = vec![bold(command.get_bin_name().unwrap_or(command.get_name()))];
    for arg in command.get_arguments().filter(|arg| is_shown(arg)) {
        let values = values(arg);
        let text = match (arg.get_long(), arg.get_short()) {
            (Some(long), _) => format!("{}{values}", bold(&format!("--{long}"))),
            (None, Some(short)) => format!("{}{values}", bold(&format!("-{short}"))),
            (None, None) => values.trim_start().to_owned(),
        };
        // An option stays on one line with its value.
        let text = text.replace(' ', "\\ ");
        words.push(if arg.is_required_set() { text } else { format!("[{text}]") });
    }
    line(&words.join(" "))
}

/// What a user chooses: neither hidden nor the help, which every command has.
fn is_shown(arg: &Arg) -> bool {
    let help = matches!(
        arg.get_action(),
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
    );
    !arg.is_hide_set() && !help
}

/// ` FILE`, ` LOG…`, or nothing.
fn values(arg: &Arg) -> String {
    let range = arg.get_num_args().unwrap_or_default();
    if !range.takes_values() {
        return String::new();
    }
    let names = arg.get_value_names().unwrap_or_default();
    let names: Vec<String> = names.iter().map(|name| format!("\\fI{}\\fR", plain(name))).collect();
    let several = range.max_values() > names.len() || matches!(arg.get_action(), ArgAction::Append);
    format!(" {}{}", names.join(" "), if several { "..." } else { "" })
}

/// What can be typed behind a command: first what stands alone, then the options.
fn options(command: &Command) -> String {
    let shown: Vec<&Arg> = command.get_arguments().filter(|arg| is_shown(arg)).collect();
    let (alone, options): (Vec<&Arg>, Vec<&Arg>) =
        shown.into_iter().partition(|arg| arg.is_positional());
    alone.into_iter().chain(options).map(option).collect()
}

fn option(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| bold(&format!("-{short}")));
    let long = arg.get_long().map(|long| bold(&format!("--{long}")));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    let tag = format!("{}{}", names.join(", "), values(arg));
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let mut text = format!(".TP\n{}{}", line(tag.trim_start()), line(&inline(&help)));
    let known: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| bold(value.get_name()))
        .collect();
    if !known.is_empty() && arg.get_action().takes_values() {
        text.push_str(&line(&format!("(one of {})", known.join(", "))));
    }
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|value| plain(&value.to_string_lossy()))
        .filter(|value| !value.is_empty())
        .collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        text.push_str(&line(&format!("[default: {}]", defaults.join(", "))));
    }
    text
}

fn see_also(pages: &[(&str, u8)]) -> String {
    let mut text = ".SH SEE ALSO\n".to_owned();
    for (i, (name, section)) in pages.iter().enumerate() {
        let comma = if i + 1 < pages.len() { "," } else { "" };
        _ = writeln!(text, ".BR {} ({section}){comma}", plain(name));
    }
    text
}

/// What `text/` has for this verb.
fn prose_of(verb: &str) -> &'static str {
    prose::VERBS.iter().find(|(name, _)| *name == verb).map_or("", |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_that_the_first_one_names() {
        let pages = pages("2026-11-26");
        let first = &pages[0].text;
        let program = built();
        assert!(verbs(&program).count() >= 14);
        for verb in verbs(&program) {
            let path = format!("man/{}.8", page_name(verb));
            assert!(pages.iter().any(|page| page.path == path), "{path} is missing");
            let entry = format!(".BR {} (8)", plain(&page_name(verb)));
            assert_eq!(first.matches(&entry).count(), 2, "{entry} in VERBS and SEE ALSO");
        }
    }

    #[test]
    fn every_option_stands_on_the_page_of_its_verb() {
        let pages = pages("2026-11-26");
        let program = built();
        for verb in verbs(&program) {
            let path = format!("man/{}.8", page_name(verb));
            let page = pages.iter().find(|page| page.path == path).unwrap();
            for command in actions(verb).chain([verb]) {
                for long in
                    command.get_arguments().filter(|arg| is_shown(arg)).filter_map(Arg::get_long)
                {
                    let option = plain(&format!("--{long}"));
                    assert!(
                        page.text.contains(&format!(".TP\n\\fB{option}")),
                        "{option} in {path}"
                    );
                }
            }
        }
    }

    #[test]
    fn there_is_no_prose_for_a_verb_that_is_gone() {
        let program = built();
        for (name, _) in prose::VERBS {
            let known =
                *name == "portcullis" || verbs(&program).any(|verb| verb.get_name() == *name);
            assert!(known, "text/{name}.md belongs to no verb");
        }
    }
}
