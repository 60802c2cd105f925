//! Where credentials come from: variables, a file, or the service manager. What the environment says is handed in by the
//! caller; nothing here reads it.
//!
//! A file has two lines, `api_key = …` and `api_secret = …`, in any order, with comments behind `#`. An Ed25519 key in PEM
//! goes over several lines, as it came.
//!
//! Invariants, each with a test of the same name:
//! 1. `a_file_that_others_can_read_is_refused`, and so is what is no plain file of a sensible size.
//! 2. `no_error_repeats_what_was_read`.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{CredentialError, Credentials};

/// The variable that holds the key.
pub const API_KEY_VARIABLE: &str = "FILLBOOK_API_KEY";
/// The variable that holds the secret.
pub const API_SECRET_VARIABLE: &str = "FILLBOOK_API_SECRET";

/// A key and secret take some hundred bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// What is wrong with a file of credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialFileError {
    /// It cannot be opened or read.
    #[error("the credentials file {path} cannot be read")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The system's complaint.
        #[source]
        source: io::Error,
    },
    /// A folder, device or symbolic link.
    #[error("{path} is {what}; credentials are read from plain files only")]
    NotAFile {
        /// Which file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Other users of the machine can read or change it.
    #[error(
        "other users can read or change {path} (mode {mode:04o}); run `chmod 600` on it, and consider the key known to them"
    )]
    Permissions {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Larger than any credentials.
    #[error("{path} is larger than {FILE_BYTES_MAX} bytes; that is no file of credentials")]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// A line that is neither a setting nor a comment. It is not repeated: it may be a secret.
    #[error("{path}, line {line}: expected `api_key = …` or `api_secret = …`")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// A setting that is not there, or twice.
    #[error("{path} must have one line `{name} = …`; it has {found}")]
    Count {
        /// Which file.
        path: PathBuf,
        /// Which setting.
        name: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A key or secret that is none.
    #[error("{path} has unusable credentials")]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with them.
        #[source]
        source: CredentialError,
    },
}

impl Credentials {
    /// Credentials from variables: `variable` answers what the environment says. `None` when neither is set.
    ///
    /// # Errors
    /// [`CredentialError`] when only one is set, or one is unusable.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, CredentialError> {
        match (variable(API_KEY_VARIABLE), variable(API_SECRET_VARIABLE)) {
            (None, None) => Ok(None),
            (Some(key), Some(secret)) => Self::new(key, secret).map(Some),
            (Some(_), None) => Err(CredentialError::Unset { set: API_KEY_VARIABLE, unset: API_SECRET_VARIABLE }),
            (None, Some(_)) => Err(CredentialError::Unset { set: API_SECRET_VARIABLE, unset: API_KEY_VARIABLE }),
        }
    }

    /// Credentials from a file that only its owner can read (mode 0600 or less).
    ///
    /// # Errors
    /// [`CredentialFileError`].
    pub fn from_file(path: &Path) -> Result<Self, CredentialFileError> {
        read(path, 0o077)
    }

    /// Credentials that the service manager hands to a service: the file `name` in `directory`, which systemd names in
    /// `$CREDENTIALS_DIRECTORY`. It may be readable for a group, as systemd has it for services with a user of their own.
    ///
    /// # Errors
    /// [`CredentialFileError`].
    pub fn from_systemd(directory: &Path, name: &str) -> Result<Self, CredentialFileError> {
        read(&directory.join(name), 0o037)
    }
}

fn read(path: &Path, forbidden_mode: u32) -> Result<Credentials, CredentialFileError> {
    parse(path, &private_text(path, forbidden_mode)?)
}

/// What is in a plain file that has none of the modes which are forbidden.
pub(crate) fn private_text(path: &Path, forbidden_mode: u32) -> Result<Zeroizing<String>, CredentialFileError> {
    let unreadable = |source| CredentialFileError::Unreadable { path: path.to_owned(), source };
    let named = std::fs::symlink_metadata(path).map_err(unreadable)?;
    refuse_unless_plain(path, &named)?;
    let file = File::open(path).map_err(unreadable)?;
    // What was opened is what is checked: the name may have come to stand for something else in between.
    let opened = file.metadata().map_err(unreadable)?;
    refuse_unless_plain(path, &opened)?;
    if !same_file(&named, &opened) {
        return Err(CredentialFileError::NotAFile { path: path.to_owned(), what: "being replaced" });
    }
    refuse_if_shared(path, &opened, forbidden_mode)?;
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(CredentialFileError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}

fn refuse_unless_plain(path: &Path, metadata: &Metadata) -> Result<(), CredentialFileError> {
    let what = match metadata.file_type() {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_symlink() => "a symbolic link",
        kind if kind.is_dir() => "a folder",
        _ => "a device or pipe",
    };
    Err(CredentialFileError::NotAFile { path: path.to_owned(), what })
}

#[cfg(unix)]
fn refuse_if_shared(path: &Path, metadata: &Metadata, forbidden_mode: u32) -> Result<(), CredentialFileError> {
    use std::os::unix::fs::MetadataExt as _;
    let mode = metadata.mode() & 0o7777;
    if mode & forbidden_mode == 0 {
        return Ok(());
    }
    Err(CredentialFileError::Permissions { path: path.to_owned(), mode })
}

/// Elsewhere files are private by where they lie, not by a mode.
#[cfg(not(unix))]
fn refuse_if_shared(_path: &Path, _metadata: &Metadata, _forbidden_mode: u32) -> Result<(), CredentialFileError> {
    Ok(())
}

#[cfg(unix)]
fn same_file(left: &Metadata, right: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (left.dev(), left.ino()) == (right.dev(), right.ino())
}

#[cfg(not(unix))]
fn same_file(_left: &Metadata, _right: &Metadata) -> bool {
    true
}

fn parse(path: &Path, text: &str) -> Result<Credentials, CredentialFileError> {
    let (mut keys, mut secrets) = (Vec::new(), Vec::new());
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let unexpected = || CredentialFileError::Line { path: path.to_owned(), line: index + 1 };
        let (name, value) = line.split_once('=').ok_or_else(unexpected)?;
        let mut value = Zeroizing::new(value.trim().to_owned());
        if value.starts_with("-----BEGIN") {
            // The lines of a private key, up to its last one.
            while !value.contains("-----END") {
                let (_, line) = lines.next().ok_or_else(unexpected)?;
                value.push('\n');
                value.push_str(line.trim());
            }
        }
        match name.trim() {
            "api_key" => keys.push(value),
            "api_secret" => secrets.push(value),
            _ => return Err(unexpected()),
        }
    }
    let count = |name, found| CredentialFileError::Count { path: path.to_owned(), name, found };
    let [key] = keys.as_slice() else { return Err(count("api_key", keys.len())) };
    let [secret] = secrets.as_slice() else { return Err(count("api_secret", secrets.len())) };
    Credentials::new(key.as_str(), secret.as_str())
        .map_err(|source| CredentialFileError::Unusable { path: path.to_owned(), source })
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const TEXT: &str = "# made on Monday\n\napi_key = K3y-abc\napi_secret=S3cret-xyz\n";

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
            let path = self.0.path().join("credentials");
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    fn shown(error: &CredentialFileError) -> String {
        let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        format!("{error} {error:?} {source}")
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = Folder::new();
        for mode in [0o600, 0o400] {
            let credentials = Credentials::from_file(&folder.file(TEXT, mode)).unwrap();
            assert_eq!((credentials.key.expose(), credentials.secret.text()), ("K3y-abc", Some("S3cret-xyz")));
            std::fs::remove_file(folder.0.path().join("credentials")).unwrap();
        }
        for mode in [0o644, 0o640, 0o660, 0o604, 0o620, 0o602] {
            let error = Credentials::from_file(&folder.file(TEXT, mode)).unwrap_err();
            assert!(error.to_string().contains(&format!("mode {mode:04o}")), "{error}");
        }
        // The service manager's own file may be for a group to read, not for everybody, and for nobody to write.
        folder.file(TEXT, 0o440);
        assert!(Credentials::from_systemd(folder.0.path(), "credentials").is_ok());
        for mode in [0o444, 0o460] {
            folder.file(TEXT, 0o600);
            folder.file(TEXT, mode);
            let error = Credentials::from_systemd(folder.0.path(), "credentials").unwrap_err();
            assert!(matches!(error, CredentialFileError::Permissions { .. }), "{error}");
            std::fs::remove_file(folder.0.path().join("credentials")).unwrap();
        }

        let path = folder.file(TEXT, 0o600);
        let link = folder.0.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(Credentials::from_file(&link).unwrap_err().to_string().contains("a symbolic link"));
        assert!(Credentials::from_file(folder.0.path()).unwrap_err().to_string().contains("a folder"));
        assert!(Credentials::from_file(Path::new("/dev/zero")).unwrap_err().to_string().contains("a device"));
        let missing = Credentials::from_file(&folder.0.path().join("none")).unwrap_err();
        assert!(matches!(missing, CredentialFileError::Unreadable { .. }));
        let large = folder.file(vec![b'#'; 20_000], 0o600);
        assert!(matches!(Credentials::from_file(&large).unwrap_err(), CredentialFileError::TooLarge { .. }));
    }

    #[test]
    fn no_error_repeats_what_was_read() {
        let folder = Folder::new();
        for (text, expected) in [
            ("api_key = K3y-abc\nS3cret-xyz\n", "line 2"),
            ("api_key = K3y-abc\nsecret = S3cret-xyz\n", "line 2"),
            ("api_key = K3y-abc\n", "`api_secret = …`; it has 0"),
            ("api_key = K3y\napi_key = K3y-abc\napi_secret = S3cret-xyz\n", "`api_key = …`; it has 2"),
            ("api_key = K3y abc\napi_secret = S3cret-xyz\n", "copy it again"),
            ("api_key = K3y-abc\napi_secret =\n", "the API secret is empty"),
            ("api_key = K3y-abc\napi_secret = -----BEGIN PRIVATE KEY-----\nS3cret\n", "line 2"),
            ("", "`api_key = …`; it has 0"),
        ] {
            let shown = shown(&Credentials::from_file(&folder.file(text, 0o600)).unwrap_err());
            assert!(shown.contains(expected), "{shown}");
            assert!(!shown.contains("K3y") && !shown.contains("S3cret"), "{shown}");
        }
        assert!(Credentials::from_file(&folder.file([0xff, 0xfe, 0x00], 0o600)).is_err());
    }

    #[test]
    fn a_private_key_goes_over_several_lines() {
        let folder = Folder::new();
        let text = "api_secret = -----BEGIN PRIVATE KEY-----\r\nMC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcH\r\n\
                    BwcHBwcHBwcHBwcHBwcH\r\n-----END PRIVATE KEY-----\r\napi_key = K3y-abc\r\n";
        let credentials = Credentials::from_file(&folder.file(text, 0o600)).unwrap();
        assert_eq!((credentials.key.expose(), credentials.secret.text()), ("K3y-abc", None));
    }

    #[test]
    fn variables_come_in_pairs() {
        let with = |set: &'static [(&str, &str)]| {
            Credentials::from_variables(|name| {
                set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(with(&[]).unwrap().is_none());
        assert!(with(&[(API_KEY_VARIABLE, "K3y"), (API_SECRET_VARIABLE, "S3cret")]).unwrap().is_some());
        let error = with(&[(API_KEY_VARIABLE, "K3y")]).unwrap_err().to_string();
        assert!(error.contains("FILLBOOK_API_SECRET") && !error.contains("K3y"), "{error}");
        assert!(with(&[(API_SECRET_VARIABLE, "S3cret")]).is_err());
        assert!(with(&[(API_KEY_VARIABLE, ""), (API_SECRET_VARIABLE, "S3cret")]).is_err());
    }
}
