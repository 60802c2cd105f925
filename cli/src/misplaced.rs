//! A key or secret that stands where something else belongs: in a word of the command line, a variable of ours, the
//! configuration. It is refused before anything is done with it, and named by where it stands, never by what it is.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_misplaced_secret_is_named_by_its_place`.

use std::ffi::OsString;

use exchange_client::{SecretKind, Secrets};

use crate::config::Settings;
use crate::error::{CommandError, ExitCode};

/// A secret where none belongs.
#[derive(Debug, thiserror::Error)]
#[error("{place} contains the {kind} of an account; it is not repeated here, and nothing was done")]
struct Misplaced {
    place: String,
    kind: SecretKind,
}

fn refused(place: String, kind: SecretKind) -> CommandError {
    CommandError::new(ExitCode::Usage, Misplaced { place, kind }).hint(
        "take it out; what stood on a command line is in the shell's history and in lists of processes, so replace the key at \
         the exchange",
    )
}

/// Refuses a command line that contains one of `secrets`.
///
/// # Errors
/// When it does.
pub(crate) fn refuse_in_words(words: &[OsString], secrets: &Secrets) -> Result<(), CommandError> {
    for (number, word) in words.iter().enumerate() {
        if let Some(kind) = secrets.mentioned_in(&word.to_string_lossy()) {
            return Err(refused(format!("word {number} of the command line"), kind));
        }
    }
    Ok(())
}

/// Refuses variables (names and values) that contain one of `secrets`.
///
/// # Errors
/// When one does.
pub(crate) fn refuse_in_variables(variables: &[(&'static str, String)], secrets: &Secrets) -> Result<(), CommandError> {
    for (name, value) in variables {
        if let Some(kind) = secrets.mentioned_in(value) {
            return Err(refused(format!("the environment variable {name}"), kind));
        }
    }
    Ok(())
}

/// Refuses settings that contain one of `secrets`.
///
/// # Errors
/// When they do.
pub(crate) fn refuse_in_settings(settings: &Settings, secrets: &Secrets) -> Result<(), CommandError> {
    match secrets.mentioned_in(&format!("{settings:?}")) {
        Some(kind) => Err(refused("a setting of the configuration file".to_owned(), kind)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misplaced_secret_is_named_by_its_place() {
        let secrets = Secrets::default();
        secrets.learn(SecretKind::Secret, "S3cretS3cretS3cret");
        let words = ["fillbook", "status", "--account=xS3cretS3cretS3cret"].map(OsString::from);
        let error = refuse_in_words(&words, &secrets).unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(
            told.contains("word 2 of the command line contains the API secret") && !told.contains("S3cret"),
            "{told}"
        );
        assert_eq!(error.exit_code, ExitCode::Usage);
        assert!(refuse_in_words(&words[..2], &secrets).is_ok());
        let variables = [("FILLBOOK_DB", "book.db".to_owned()), ("FILLBOOK_ACCOUNT", "S3cretS3cretS3cret".to_owned())];
        let told = refuse_in_variables(&variables, &secrets).unwrap_err().to_string();
        assert!(told.contains("FILLBOOK_ACCOUNT") && !told.contains("S3cret"), "{told}");
    }
}
