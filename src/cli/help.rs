//! The first screen: which verb is for what, in the order in which people need them.

use clap::Command;

use super::layout::wrap;

/// The verbs by task. A verb that stands nowhere here is shown at the end.
const TASKS: [(&str, &[&str]); 4] = [
    ("See what happens", &["status", "top", "bans", "explain", "connections", "review", "capture"]),
    (
        "Write a policy and put it in force",
        &["check", "rules", "replay", "audit", "reload", "confirm"],
    ),
    ("When something is wrong", &["doctor", "panic", "unload"]),
    ("Run it", &["demo", "run"]),
];

/// The command with its verbs shown by task.
pub(super) fn grouped(command: Command) -> Command {
    let verbs = by_task(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{verbs}Options:\n{{options}}{{after-help}}"
    ))
}

fn by_task(command: &Command) -> String {
    let shown: Vec<&Command> =
        command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
    let known = |verb: &&&Command| TASKS.iter().any(|(_, verbs)| verbs.contains(&verb.get_name()));
    let mut tasks: Vec<(&str, Vec<&Command>)> = TASKS
        .iter()
        .map(|(task, verbs)| {
            let found = verbs
                .iter()
                .filter_map(|name| shown.iter().find(|verb| verb.get_name() == *name).copied());
            (*task, found.collect())
        })
        .collect();
    tasks.push(("Other", shown.iter().filter(|verb| !known(verb)).copied().collect()));
    let width = shown.iter().map(|verb| verb.get_name().len()).max().unwrap_or(0);
    let mut text = String::new();
    for (task, verbs) in tasks.iter().filter(|(_, verbs)| !verbs.is_empty()) {
        text += &format!("{task}:\n");
        for verb in verbs {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            text += &wrap(&format!("  {:<width$}  ", verb.get_name()), &about);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_verb_is_shown_once_and_fits_a_terminal() {
        let text = grouped(Cli::command()).render_help().to_string();
        for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let line = format!("  {} ", verb.get_name());
            assert_eq!(text.lines().filter(|l| l.starts_with(&line)).count(), 1, "{line}\n{text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("--version") && text.contains("portcullis demo"), "{text}");
    }

    #[test]
    fn every_verbs_help_fits_a_terminal() {
        let mut command = grouped(Cli::command());
        command.build();
        let mut waiting: Vec<&mut Command> = command.get_subcommands_mut().collect();
        while let Some(verb) = waiting.pop() {
            let text = verb.render_help().to_string();
            let wide = text.lines().find(|line| line.chars().count() > 80);
            assert_eq!(wide, None, "{text}");
            waiting.extend(verb.get_subcommands_mut());
        }
    }
}
