//! Look-ups in SQLite on the thread that wants them.
//!
//! The driver keeps a thread for each connection, and to wake it and be woken by
//! it costs several times what a look-up by an index does. What nearly every
//! request needs is therefore asked here. Nothing is written, and nothing waits:
//! where the database does not answer at once the driver is asked, which does
//! wait, and which says what is wrong.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, Params, Row};

/// Read-only connections to one file, as many as are used at the same time.
#[derive(Clone, Debug)]
pub(super) struct LookUp {
    file: Arc<Path>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl LookUp {
    pub(super) fn new(file: &Path) -> Self {
        Self { file: file.into(), idle: Arc::default() }
    }

    /// The rows of a statement whose parameters occur in their order; `None` where
    /// the driver has to be asked.
    pub(super) fn rows<T>(
        &self,
        sql: &'static str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Option<Vec<T>> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = idle().pop();
        let connection = known.map_or_else(|| self.open(), Ok).ok()?;
        let found = all(&connection, sql, parameters, read).ok()?;
        idle().push(connection);
        Some(found)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        connection.busy_timeout(Duration::ZERO)?;
        Ok(connection)
    }
}

fn all<T>(
    connection: &Connection,
    sql: &'static str,
    parameters: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
}
