//! The secrets from which keys derive: configured, or in a file beside an SQLite
//! database that is made together with it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use secrecy::SecretString;

use crate::{
    config::{DatabaseUrl, Encryption},
    hex,
    secret::reveal,
};

/// The secrets, the one that seals first. The database tells where the file is
/// when none is named; it is made only where the database is new.
pub(super) fn configured(
    encryption: &Encryption,
    database: &DatabaseUrl,
) -> Result<Vec<SecretString>, EncryptionError> {
    let first = match (&encryption.secret, &encryption.secret_file) {
        (Some(secret), _) => secret.clone(),
        (None, Some(file)) => read_secret(file)?,
        (None, None) => beside(database)?,
    };
    let previous = encryption.previous_secret_files.iter().map(|file| read_secret(file));
    std::iter::once(Ok(first)).chain(previous).collect()
}

/// The encryption secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// There is none.
    #[error(
        "no encryption secret is given; name its file as secret_file in [encryption], or set \
         VESTIBULE_ENCRYPTION_SECRET (`openssl rand -base64 48` makes one)"
    )]
    Missing,
    /// Its file cannot be read.
    #[error("the encryption secret {} cannot be read: {source}; does it exist and may this user read it?", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The database is there and the file that was made with it is not.
    #[error(
        "the database {database} was made with the encryption secret {}, which is gone; restore the \
         file, or name another with secret_file in [encryption]",
        path.display()
    )]
    Gone {
        /// The database.
        database: DatabaseUrl,
        /// The file.
        path: PathBuf,
    },
    /// It cannot be made.
    #[error("the encryption secret {} cannot be made: {source}; may this user write there?", path.display())]
    Make {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn read_secret(path: &Path) -> Result<SecretString, EncryptionError> {
    let text = fs::read_to_string(path)
        .map_err(|source| EncryptionError::Read { path: path.to_owned(), source })?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

/// The secret beside an SQLite database, made together with it.
fn beside(database: &DatabaseUrl) -> Result<SecretString, EncryptionError> {
    if database.is_in_memory() {
        return Ok(random_secret());
    }
    let file = database.file().ok_or(EncryptionError::Missing)?;
    let mut path = file.clone().into_os_string();
    path.push(".key");
    let path = PathBuf::from(path);
    let there = path.exists();
    if !there && file.metadata().is_ok_and(|file| file.len() > 0) && !path.exists() {
        return Err(EncryptionError::Gone { database: database.clone(), path });
    }
    if there || path.exists() {
        close(&path).map_err(|source| EncryptionError::Read { path: path.clone(), source })?;
        return read_secret(&path);
    }
    match write_private(&path, &random_secret()) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(EncryptionError::Make { path, source }),
        Ok(()) => {}
    }
    read_secret(&path)
}

/// Closes the file to others where it was open to them.
fn close(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

fn random_secret() -> SecretString {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap_or_else(|error| panic!("no randomness: {error}"));
    SecretString::from(hex::encode(&bytes))
}

/// Writes a secret that appears under its name only when it is whole.
fn write_private(path: &Path, secret: &SecretString) -> io::Result<()> {
    let mut partial = path.to_owned().into_os_string();
    // Nobody else's, whatever process ids there are on other machines.
    partial.push(format!(".{:016x}", getrandom::u64().map_err(io::Error::from)?));
    let partial = PathBuf::from(partial);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&partial)?;
    writeln!(file, "{}", reveal(secret))?;
    file.sync_all()?;
    // Unlike renaming, linking takes nothing's place.
    let linked = fs::hard_link(&partial, path);
    fs::remove_file(&partial)?;
    linked
}
