//! Users of one machine: a book is its owner's alone, and nobody else's look locks the owner out of it.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::process::Command;

use crate::support::{Run, Sandbox, fixture};

/// The owner of the book, and somebody else. Neither has to be in the system's list of users.
const OWNER: u32 = 65_534;
const GUEST: u32 = 65_533;

/// Runs a command as a user; only the superuser can. The binary is copied to where everybody may run it.
fn as_user(sandbox: &Sandbox, user: u32, args: &[&str]) -> Run {
    let binary = sandbox.path().join("fillbook");
    if !binary.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_fillbook-under-test"), &binary).unwrap();
    }
    let ids = [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()];
    let output =
        Command::new("setpriv").args(ids).arg(&binary).args(args).current_dir(sandbox.path()).output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[expect(clippy::print_stdout, reason = "what is not tested is told")]
fn is_superuser() -> bool {
    let is = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !is {
        println!("NOT TESTED: other users, which only the superuser can be");
    }
    is
}

fn modes(sandbox: &Sandbox) -> BTreeMap<String, (u32, u32)> {
    let entries = std::fs::read_dir(sandbox.path()).unwrap().map(|entry| entry.unwrap());
    let books = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("fillbook.db"));
    books
        .map(|entry| {
            let found = entry.metadata().unwrap();
            (entry.file_name().to_string_lossy().into_owned(), (found.uid(), found.permissions().mode() & 0o777))
        })
        .collect()
}

/// Whatever the mask: nobody else reads a book, its write-ahead log or its index.
#[test]
fn a_book_is_its_owners_alone() {
    for mask in ["000", "022", "077", "777"] {
        let sandbox = Sandbox::empty();
        let command = sandbox.prepared(&["init", "--position-mode", "one-way"], &[]);
        let script = format!("umask {mask}; exec \"$0\" \"$@\"");
        let run = Command::new("sh")
            .args(["-c", &script])
            .arg(command.get_program())
            .args(command.get_args())
            .current_dir(sandbox.path())
            .output()
            .unwrap();
        assert!(run.status.success(), "{mask}: {}", String::from_utf8_lossy(&run.stderr));
        // As long as somebody has it open, the log and its index are there.
        let holder = {
            use diesel::connection::SimpleConnection as _;
            use diesel::{Connection as _, SqliteConnection};
            let path = sandbox.path().join("fillbook.db");
            let mut connection = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            connection.batch_execute("BEGIN; SELECT count(*) FROM fills").unwrap();
            connection
        };
        sandbox.run(&["import", &fixture("import/one-way/orders.csv")]).exits(0);
        let modes = modes(&sandbox);
        assert_eq!(modes.len(), 3, "{modes:?}");
        assert!(modes.values().all(|(_, mode)| *mode == 0o600), "{mask}: {modes:?}");
        drop(holder);
    }
}

/// The owner lets others read, in a folder that everybody may write to. Whoever looks, however it ends, the owner goes on.
#[test]
fn a_look_of_another_user_locks_nobody_out() {
    if !is_superuser() {
        return;
    }
    let sandbox = Sandbox::empty();
    std::fs::set_permissions(sandbox.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    chown(sandbox.path(), Some(OWNER), Some(OWNER)).unwrap();
    as_user(&sandbox, OWNER, &["init", "--position-mode", "one-way"]).exits(0);
    let file = sandbox.write("trades.csv", std::fs::read(fixture("import/one-way/trades-archive.csv")).unwrap());
    let file = file.to_str().unwrap().to_owned();
    // A stranger may not read it, and is told so.
    let refused = as_user(&sandbox, GUEST, &["status", "--json"]).exits(1);
    assert!(
        refused.stderr.contains(r#""kind":"denied""#) && refused.stderr.contains("owns the book"),
        "{}",
        refused.stderr
    );
    std::fs::set_permissions(sandbox.path().join("fillbook.db"), std::fs::Permissions::from_mode(0o644)).unwrap();

    let looks: [&[&str]; 4] = [&["status"], &["verify"], &["fills"], &["orders"]];
    for user in [GUEST, 0] {
        for look in looks {
            as_user(&sandbox, user, look).exits(0);
            let found = modes(&sandbox);
            assert!(found.values().all(|(owner, _)| *owner == OWNER), "{user} {look:?}: {found:?}");
        }
        as_user(&sandbox, OWNER, &["import", &file]).exits(0);
    }
    // Beside a log that is in use: an owner whose command was killed, or goes on.
    let path = sandbox.path().join("fillbook.db");
    {
        use diesel::connection::SimpleConnection as _;
        use diesel::{Connection as _, SqliteConnection};
        let mut holder = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        holder.batch_execute("BEGIN; SELECT count(*) FROM fills").unwrap();
        as_user(&sandbox, OWNER, &["rebuild"]).exits(0);
        let found = modes(&sandbox);
        assert!(found.len() >= 3 && found.values().all(|(owner, _)| *owner == OWNER), "{found:?}");
        for look in looks {
            as_user(&sandbox, GUEST, look).exits(0);
        }
        assert!(modes(&sandbox).values().all(|(owner, _)| *owner == OWNER), "{:?}", modes(&sandbox));
    }
    // A sign that the superuser's command left when it was killed.
    for suffix in ["-work", "-look-main"] {
        let sign = sandbox.write(&format!("fillbook.db{suffix}"), "");
        std::fs::set_permissions(sign, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    as_user(&sandbox, OWNER, &["status"]).exits(0);
    as_user(&sandbox, OWNER, &["rebuild"]).exits(0);
    as_user(&sandbox, OWNER, &["verify"]).exits(0);
    assert!(modes(&sandbox).keys().all(|name| name != "fillbook.db-work"), "{:?}", modes(&sandbox));
}

/// A folder that cannot be written is no missing book.
#[test]
fn a_folder_that_cannot_be_written_is_called_so() {
    if !is_superuser() {
        return;
    }
    let sandbox = Sandbox::empty();
    std::fs::set_permissions(sandbox.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = as_user(&sandbox, GUEST, &["init", "--json"]).exits(1);
    assert!(run.stderr.contains(r#""kind":"denied""#) && !run.stderr.contains("fillbook init"), "{}", run.stderr);
    as_user(&sandbox, 0, &["init"]).exits(0);
    std::fs::set_permissions(sandbox.path().join("fillbook.db"), std::fs::Permissions::from_mode(0o666)).unwrap();
    let run = as_user(&sandbox, GUEST, &["rebuild", "--json"]).exits(1);
    assert!(
        run.stderr.contains(r#""kind":"denied""#) || run.stderr.contains(r#""kind":"read_only""#),
        "{}",
        run.stderr
    );
    // Reading needs nothing beside the book.
    as_user(&sandbox, GUEST, &["status"]).exits(0);
}
