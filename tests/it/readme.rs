//! The README's console blocks are what really happens.
//!
//! Each block is a session in the repository's folder: lines that begin with `$ fillbook` are run, what follows is
//! compared with standard output. A line `[...]` stands for any number of lines. Ports and temporary folders vary.

use crate::support::Sandbox;

#[test]
fn the_sessions_of_the_readme_are_real() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let sandbox = Sandbox::empty();
    std::os::unix::fs::symlink(root.join("tests"), sandbox.path().join("tests")).unwrap();
    let mut commands = 0;
    for block in readme.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for session in block.split("$ ").skip(1) {
            let (command, expected) = session.split_once('\n').unwrap();
            let args: Vec<&str> =
                command.strip_prefix("fillbook ").expect("only fillbook is run").split_whitespace().collect();
            let folder = sandbox.path().to_str().unwrap();
            let run = sandbox.command(&args, &[("COLUMNS", "100"), ("TMPDIR", folder)]);
            let (found, expected) = (normal(&run.stdout), normal(expected));
            assert!(
                matches(&expected, &found),
                "$ {command}\nexpected:\n{}\nfound:\n{}\n{}",
                expected.join("\n"),
                found.join("\n"),
                run.stderr
            );
            commands += 1;
        }
    }
    assert!(commands >= 8, "only {commands} commands found");
}

/// Lines without trailing blanks, ports and temporary folders.
fn normal(text: &str) -> Vec<String> {
    let cut = |line: &str, start: &str, keep: fn(char) -> bool| match line.split_once(start) {
        Some((before, after)) => format!("{before}{start}X{}", after.trim_start_matches(keep)),
        None => line.to_owned(),
    };
    text.trim_end()
        .lines()
        .map(|line| cut(line.trim_end(), "127.0.0.1:", |c| c.is_ascii_digit()))
        .map(|line| match line.find("fillbook-demo-") {
            Some(at) => {
                let start = line[..at].rfind(' ').map_or(0, |space| space + 1);
                let end = line[at..].find("demo.db").map_or(line.len(), |end| at + end);
                format!("{}TMP/{}", &line[..start], &line[end..])
            }
            None => line,
        })
        .collect()
}

fn matches(expected: &[String], found: &[String]) -> bool {
    match (expected, found) {
        ([], []) => true,
        ([skip, rest @ ..], _) if skip == "[...]" => (0..=found.len()).any(|at| matches(rest, &found[at..])),
        ([first, rest @ ..], [line, others @ ..]) => first == line && matches(rest, others),
        _ => false,
    }
}
