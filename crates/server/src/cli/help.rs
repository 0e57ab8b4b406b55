//! `keyward help`: commands, topics, and the examples that every command's help begins with.

use anyhow::Context;
use clap::{Args, Command};

use super::output::write_out;
use super::{Exit, Failure, Outcome, filter};

/// One block per command: its path in brackets, examples, and what comes next.
const EXAMPLES: &str = include_str!("examples.txt");
const TOPICS: &[(&str, &str)] = &[
    ("environment", include_str!("topics/environment.txt")),
    ("exit-codes", include_str!("topics/exit-codes.txt")),
    ("output", include_str!("topics/output.txt")),
    ("security", include_str!("topics/security.txt")),
];

/// Explain a command or a topic: environment, exit-codes, output, security
#[derive(Args, Debug)]
pub(crate) struct HelpArgs {
    /// A command such as `keys create`, or a topic
    words: Vec<String>,
}

/// Prints a topic or the help of a command.
pub(crate) fn run(args: &HelpArgs) -> Outcome {
    if let [word] = &args.words[..]
        && let Some((_, text)) = TOPICS.iter().find(|(topic, _)| topic == word)
    {
        write_out(text)?;
        return Ok(Exit::Ok);
    }
    let mut command = super::command();
    command.build();
    let mut found = &mut command;
    for word in &args.words {
        let known: Vec<String> = found.get_subcommands().flat_map(names).collect();
        found = found.find_subcommand_mut(word).ok_or_else(|| unknown(word, &known))?;
    }
    write_out(&found.render_long_help().to_string())?;
    Ok(Exit::Ok)
}

fn names(command: &Command) -> Vec<String> {
    std::iter::once(command.get_name()).chain(command.get_all_aliases()).map(str::to_owned).collect()
}

fn unknown(word: &str, commands: &[String]) -> Failure {
    let topics = TOPICS.iter().map(|(topic, _)| *topic);
    let known: Vec<&str> = commands.iter().map(String::as_str).chain(topics).collect();
    let failure = Failure::usage(format!("there is no help on `{word}`"));
    match filter::closest(word, &known) {
        Some(near) => failure.hint(format!("did you mean `keyward help {near}`?")),
        None => failure.hint("`keyward help` lists the commands"),
    }
}

/// Puts the examples before, and the next step behind, the help of every command.
pub(crate) fn with_examples(command: Command) -> Command {
    decorate(command, "")
}

fn decorate(command: Command, path: &str) -> Command {
    let children: Vec<String> = command.get_subcommands().map(|child| child.get_name().to_owned()).collect();
    let mut command = command;
    for name in children {
        let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command = command.mut_subcommand(name, |child| decorate(child, &path));
    }
    match block(path) {
        Ok((examples, next)) => command.before_help(examples).after_help(next),
        Err(_) => command,
    }
}

/// The examples and the next step of a command.
fn block(path: &str) -> anyhow::Result<(String, String)> {
    let start = format!("[{path}]\n");
    let blocks = EXAMPLES.split("\n\n");
    let block = blocks.map(str::trim_start).find_map(|block| block.strip_prefix(&start));
    let block = block.with_context(|| format!("no examples for `{path}`"))?;
    let (examples, next) = block.split_once("next: ").context("no next step")?;
    let examples: String = examples.lines().map(|line| format!("  {line}\n")).collect();
    Ok((format!("Examples:\n{}", examples.trim_end()), format!("Next: {}", next.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(command: &Command, path: &str, visit: &mut impl FnMut(&str, &Command)) {
        visit(path, command);
        for child in command.get_subcommands().filter(|child| !child.is_hide_set()) {
            let path = if path.is_empty() {
                child.get_name().to_owned()
            } else {
                format!("{path} {}", child.get_name())
            };
            each(child, &path, visit);
        }
    }

    #[test]
    fn every_command_has_two_examples_of_itself_and_a_next_step() {
        let mut seen = 0;
        each(&super::super::command(), "", &mut |path, _| {
            seen += 1;
            let (examples, next) = block(path).expect(path);
            let own =
                examples.lines().filter(|line| line.contains(format!("keyward {path}").trim_end())).count();
            assert!(own >= 2, "`{path}` has {own} examples");
            let long = examples.lines().find(|line| line.chars().count() > 80);
            assert_eq!(long, None, "would be wrapped, and no longer copied");
            assert!(next.len() > "Next: ".len());
        });
        assert!(seen > 70, "only {seen} commands were found");
    }

    #[test]
    fn every_example_block_belongs_to_a_command() {
        let mut paths = Vec::new();
        each(&super::super::command(), "", &mut |path, _| paths.push(format!("[{path}]")));
        for line in EXAMPLES.lines().filter(|line| line.starts_with('[')) {
            assert!(paths.iter().any(|path| path == line), "{line} is no command");
        }
    }

    #[test]
    fn every_example_can_be_parsed() {
        let lines = EXAMPLES.lines().filter(|line| line.trim_start().starts_with("keyward "));
        for line in lines {
            let line = line.split(" | ").next().unwrap_or_default();
            let line = line.split(" > ").next().unwrap_or_default().split(" < ").next().unwrap_or_default();
            let parsed = super::super::command().try_get_matches_from(shell_words(line));
            if let Err(error) = parsed {
                assert_eq!(error.exit_code(), 0, "{line}\n{error}");
            }
        }
    }

    /// Splits at blanks outside of quotes.
    fn shell_words(line: &str) -> Vec<String> {
        let (mut words, mut quote) = (vec![String::new()], None);
        for c in line.trim().chars() {
            match quote {
                Some(open) if c == open => quote = None,
                None if matches!(c, '\'' | '"') => quote = Some(c),
                None if c == ' ' => words.push(String::new()),
                _ => words.last_mut().expect("never empty").push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn a_typo_in_a_topic_is_answered_with_a_suggestion() {
        let told = unknown("exitcodes", &[]).to_string();
        assert!(told.contains("keyward help exit-codes"), "{told}");
    }
}
