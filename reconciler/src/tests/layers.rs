//! What may use what, read from the sources: observe -> plan -> apply -> verify, one way. A stage uses itself, the stages
//! before it, and what all of them share; what they share uses no stage.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The words, values and readers that all stages share.
const SHARED: &[&str] = &[
    "asked",
    "confirming",
    "discrepancy",
    "error",
    "finding",
    "flow",
    "freshness",
    "label",
    "liquidation",
    "memory",
    "policy",
    "proofs",
    "record",
    "repair",
    "settled_by",
    "streams",
    "unreadable",
    "watch_state",
    "wording",
];

/// In the order of a cycle.
const STAGES: &[&str] = &["observe", "plan", "apply", "verify"];

/// What uses the stages, or has nothing to do with them.
const USES: &[&str] =
    &["account_report", "cycle", "execute", "import", "manage", "outside", "position_mode", "service", "tell"];

/// How far up a module stands: it names what stands as high as itself or lower.
fn height(module: &str) -> Option<usize> {
    if SHARED.contains(&module) {
        return Some(0);
    }
    if USES.contains(&module) {
        return Some(STAGES.len() + 1);
    }
    STAGES.iter().position(|stage| *stage == module).map(|index| index + 1)
}

/// The modules of the crate that a source file names. `depth` is how deep its own module lies: 1 for `plan`, 2 for
/// `plan::orders`.
fn named(source: &str, depth: usize) -> BTreeSet<String> {
    // Tests may look everywhere.
    let source = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let code: Vec<&str> = source.lines().map(|line| line.split("//").next().unwrap()).collect();
    let code = code.join("\n");
    let root = "super::".repeat(depth);
    let mut named = BTreeSet::new();
    for prefix in ["crate::", root.as_str()] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|before| before.is_alphanumeric() || "_$:".contains(before)) {
                continue;
            }
            named.extend(firsts(&code[at + prefix.len()..]));
        }
    }
    named
}

/// The first name of a path, or of each path of a group.
fn firsts(path: &str) -> Vec<String> {
    let first = |path: &str| -> String {
        path.trim_start().chars().take_while(|next| next.is_alphanumeric() || *next == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![first(path)] };
    let (mut open, mut begins, mut names) = (0, true, Vec::new());
    for (at, next) in group.char_indices() {
        if begins && open == 0 && !next.is_whitespace() && next != '}' {
            names.push(first(&group[at..]));
            begins = false;
        }
        match next {
            '{' => open += 1,
            '}' if open == 0 => break,
            '}' => open -= 1,
            ',' if open == 0 => begins = true,
            _ => {}
        }
    }
    names
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_of_tests = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !is_of_tests {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !is_of_tests {
            found.push(path);
        }
    }
}

#[test]
fn no_stage_names_a_later_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut modules = BTreeSet::new();
    for file in files {
        let relative = file.strip_prefix(&root).unwrap().with_extension("");
        let mut parts: Vec<&str> = relative.iter().map(|part| part.to_str().unwrap()).collect();
        parts.retain(|part| *part != "mod");
        if parts == ["lib"] {
            continue;
        }
        let own = height(parts[0]).unwrap_or_else(|| panic!("{}: say where it stands", parts[0]));
        modules.insert(parts[0].to_owned());
        for name in named(&fs::read_to_string(&file).unwrap(), parts.len()) {
            let stands = height(&name).unwrap_or_else(|| panic!("{}: names {name}, no module", file.display()));
            assert!(stands <= own, "{} names {name}, which comes later", file.display());
        }
    }
    let listed = SHARED.iter().chain(STAGES).chain(USES).map(|name| (*name).to_owned());
    assert_eq!(modules, listed.collect(), "every module has its place, and every place a module");
}

#[test]
fn paths_are_found_however_they_are_written() {
    let found = |source: &str, depth| named(source, depth).into_iter().collect::<Vec<_>>();
    assert_eq!(found("use crate::plan::Plan;\nlet it = crate::verify::verify(1);", 2), ["plan", "verify"]);
    assert_eq!(
        found("use crate::{\n    apply::{a, b::{c}},\n    book, observe::walk,\n};", 1),
        ["apply", "book", "observe"]
    );
    // As far up as the root, and no farther.
    assert_eq!(found("use super::super::plan::Plan;\nuse super::orders::x;", 2), ["plan"]);
    assert!(found("// crate::plan\n/// [`x`](crate::plan)\nfn f() {}", 1).is_empty());
    assert!(found("fn f() {}\n\n#[cfg(test)]\nmod tests {\n    use crate::plan::x;\n}", 1).is_empty());
}
