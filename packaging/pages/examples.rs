//! What the pages tell people to type is typed here.

use portcullis::{cli, config};

use crate::prose;

/// The texts with examples in them, by name.
fn texts() -> impl Iterator<Item = (&'static str, &'static str)> {
    let others = [("portcullis.7", prose::CONCEPTS), ("portcullis.toml.5", prose::POLICY)];
    prose::VERBS.iter().copied().chain(others)
}

/// The examples of a text: the word behind the opening mark, and the lines.
fn examples(text: &'static str) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let rows: Vec<&str> = lines.by_ref().take_while(|row| *row != "```").collect();
            found.push((kind, rows.join("\n")));
        }
    }
    found
}

/// The words of a command as a shell splits them; quotes only.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in command.chars() {
        match (letter, words.last_mut()) {
            ('"', _) => quoted = !quoted,
            (' ', _) if !quoted => words.push(String::new()),
            (letter, Some(word)) => word.push(letter),
            (_, None) => {}
        }
    }
    words
}

#[test]
fn every_command_is_one_that_the_program_understands() {
    let mut count = 0;
    for (name, text) in texts() {
        for (_, lines) in examples(text) {
            let commands = lines.lines().flat_map(|line| line.split([';', '|', '&', '>']));
            for command in commands.map(str::trim).filter(|c| c.starts_with("portcullis ")) {
                count += 1;
                if let Err(error) = cli::command().try_get_matches_from(words(command)) {
                    panic!("text/{name}.md: {command}\n{error}");
                }
            }
        }
    }
    assert!(count > 30, "{count} commands");
}

#[test]
fn every_policy_is_good() {
    let mut count = 0;
    for (name, text) in texts() {
        for (_, policy) in examples(text).iter().filter(|(kind, _)| *kind == "toml") {
            count += 1;
            // The list is the reader's; here there is none of that name.
            let policy = policy.replace("\"/etc/portcullis/blocked.txt\"", "");
            if let Err(errors) = config::parse(&policy, "example.toml") {
                panic!("text/{name}.md:\n{errors}");
            }
        }
    }
    assert!(count >= 8, "{count} policies");
}

#[test]
fn no_example_is_wider_than_a_page_of_80_columns() {
    for (name, text) in texts() {
        for (_, lines) in examples(text) {
            for line in lines.lines() {
                // The margin of a page, and the example's own.
                assert!(line.chars().count() + 7 + 4 <= 80, "text/{name}.md: {line}");
            }
        }
    }
}
