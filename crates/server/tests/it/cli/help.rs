//! Help: examples first, topics, completion.

use super::run;

/// Walks the tree as a reader would: by the commands that each help lists.
fn walk(path: &[String], visit: &mut impl FnMut(&[String], &str)) {
    let mut args: Vec<&str> = path.iter().map(String::as_str).collect();
    args.push("--help");
    let run = run(&args);
    assert_eq!(run.code, 0, "{args:?}: {}", run.err);
    visit(path, &run.out);
    for name in listed(&run.out) {
        let mut path = path.to_vec();
        path.push(name);
        walk(&path, visit);
    }
}

fn listed(help: &str) -> Vec<String> {
    let section = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = section.take_while(|line| !line.is_empty());
    let lines = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn every_help_begins_with_two_examples_and_ends_with_the_next_step() {
    let mut seen = Vec::new();
    walk(&[], &mut |path, help| {
        let name = format!("keyward {}", path.join(" "));
        assert!(help.starts_with("Examples:\n"), "{name}: {help}");
        let before_usage = help.split("\nUsage:").next().expect("there is a usage line");
        let own = before_usage.lines().filter(|line| line.contains(name.trim_end())).count();
        assert!(own >= 2, "{name} has {own} examples of itself");
        let last = help.trim_end().rsplit("\n\n").next().expect("there is an end");
        assert!(last.starts_with("Next: "), "{name} ends with {last:?}");
        seen.push(name);
    });
    assert!(seen.len() > 70, "only {} commands were found", seen.len());
    assert!(seen.contains(&"keyward keys rotate finish".to_owned()));
}

#[test]
fn topics_and_commands_are_explained() {
    for topic in ["exit-codes", "environment", "output", "security"] {
        let run = run(&["help", topic]);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(run.out.len() > 500, "{topic} says {:?}", run.out);
    }
    assert!(run(&["help", "exit-codes"]).out.contains("10  verify, identify"));
    let direct = run(&["keys", "create", "--help"]);
    assert_eq!(run(&["help", "keys", "create"]).out, direct.out);
    assert_eq!(run(&["help", "key", "create"]).out, direct.out);
    assert!(run(&["help"]).out.contains("doctor"));
}

#[test]
fn help_on_nothing_known_is_a_usage_error_with_a_suggestion() {
    let run = run(&["help", "exitcodes"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.contains("keyward help exit-codes"), "{}", run.err);
}

#[test]
fn each_shell_gets_a_completion_script() {
    for (shell, mark) in [
        ("bash", "complete -F _keyward"),
        ("zsh", "#compdef keyward"),
        ("fish", "complete -c keyward"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let run = run(&["completion", shell]);
        assert_eq!(run.code, 0, "{shell}: {}", run.err);
        assert!(run.out.contains(mark), "{shell} lacks {mark}");
        assert!(run.out.contains("new-secret"), "{shell} does not know the commands");
    }
    assert_eq!(run(&["completion", "tcsh"]).code, 2);
}

#[test]
fn the_version_is_data() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(run(&["--version"]).out, format!("keyward {version}\n"));
    let json: serde_json::Value = serde_json::from_str(&run(&["version", "-o", "json"]).out).expect("JSON");
    assert_eq!(json["version"], version);
}
