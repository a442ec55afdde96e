//! A page of Markdown as a script: which commands it shows, with what output, and what has to have
//! happened before.
//!
//! Every block that is fenced as `console` is run: each line that begins with `$ ` is a command, and
//! what follows, up to the next one, is its output. Comments, which no reader of the page sees, say
//! what else is to be done:
//!
//! ```text
//! <!-- policy -->       the next block is the gate's policy; a gate with it is started
//! <!-- file NAME -->    the next block is a file beside it
//! <!-- do WORD … -->    something happens in the network
//! ```

/// One step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A gate is started with this policy.
    Policy(String),
    /// A file lies beside the policy.
    File(String, String),
    /// Something happens.
    Do(Vec<String>),
    /// Somebody types a command, and reads so many lines.
    Run { line: usize, command: String, output: Vec<String> },
}

/// Reads a page.
///
/// # Panics
/// If a comment says what nobody understands, or a block does not end.
pub(super) fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = page.lines().enumerate();
    let mut meant: Option<Vec<String>> = None;
    while let Some((number, line)) = lines.next() {
        if let Some(words) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
            let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
            match words[0].as_str() {
                "do" => steps.push(Step::Do(words[1..].to_vec())),
                "policy" | "file" => meant = Some(words),
                other => panic!("line {}: nobody knows what `{other}` means", number + 1),
            }
            continue;
        }
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<(usize, &str)> =
            lines.by_ref().take_while(|(_, line)| !line.starts_with("```")).collect();
        let text = || block.iter().map(|(_, line)| format!("{line}\n")).collect::<String>();
        match (meant.take(), language) {
            (Some(words), _) if words[0] == "policy" => steps.push(Step::Policy(text())),
            (Some(words), _) => steps.push(Step::File(words[1].clone(), text())),
            (None, "console") => steps.extend(commands(&block)),
            (None, _) => {}
        }
    }
    assert_eq!(meant, None, "a comment without a block");
    steps
}

fn commands(block: &[(usize, &str)]) -> Vec<Step> {
    let mut commands: Vec<Step> = Vec::new();
    for (number, line) in block {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push(Step::Run {
                line: number + 1,
                command: command.to_owned(),
                output: Vec::new(),
            }),
            (None, Some(Step::Run { output, .. })) => output.push((*line).to_owned()),
            (None, _) => panic!("line {}: a console block begins with a command", number + 1),
        }
    }
    commands
}

#[test]
fn a_page_is_a_script() {
    let page = "# Title\n\n<!-- policy -->\n```toml\nmode = \"observe\"\n```\nWords.\n<!-- do scan 192.0.2.77 -->\n\
                ```console\n$ one --two\nout\n\n$ three\n```\n```sh\n$ never run\n```\n<!-- file a.txt -->\n```text\n192.0.2.1\n```\n";
    let run = |line, command: &str, output: &[&str]| Step::Run {
        line,
        command: command.into(),
        output: output.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(
        steps(page),
        [
            Step::Policy("mode = \"observe\"\n".into()),
            Step::Do(vec!["scan".into(), "192.0.2.77".into()]),
            run(10, "one --two", &["out", ""]),
            run(13, "three", &[]),
            Step::File("a.txt".into(), "192.0.2.1\n".into()),
        ]
    );
}
