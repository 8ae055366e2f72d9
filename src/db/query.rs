//! One SQL text, two engines: collects values, binds them for whichever engine is behind, fetches rows.

use super::DbError;
use cdn_actors::domain::{
    hash::{Md5, Sha256},
    ids::{
        ActivityId, BlobId, FileId, FolderId, InstanceId, ReservationId, SessionId, ShareId, TrashId, UserId,
        VersionId,
    },
};
use chrono::{DateTime, Utc};
use sqlx::{
    Arguments, AssertSqlSafe, FromRow, PgConnection, PgPool, SqliteConnection, SqlitePool,
    postgres::{PgArguments, PgRow},
    sqlite::{SqliteArguments, SqliteRow},
};
use std::borrow::Cow;
use uuid::Uuid;

/// A value on its way into a statement. `None` is a typed NULL.
#[derive(Debug, Clone)]
pub enum Value {
    Bool(Option<bool>),
    Int(Option<i64>),
    /// For the few places where PostgreSQL takes no 64-bit integer.
    SmallInt(i32),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    Time(Option<DateTime<Utc>>),
    Json(serde_json::Value),
}

macro_rules! values {
    ($($from:ty => $variant:ident, $convert:expr;)*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(Some(($convert)(value)))
            }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$variant(value.map($convert))
            }
        }
    )*};
}

values! {
    bool => Bool, |v| v;
    i64 => Int, |v| v;
    u32 => Int, i64::from;
    // No size or count reaches 2^63; one that did would fail its CHECK, not wrap.
    u64 => Int, |v| i64::try_from(v).unwrap_or(i64::MAX);
    String => Text, |v| v;
    &str => Text, str::to_owned;
    &String => Text, Clone::clone;
    &Sha256 => Text, |v: &Sha256| v.as_str().to_owned();
    &Md5 => Text, |v: &Md5| v.as_str().to_owned();
    Vec<u8> => Bytes, |v| v;
    &Vec<u8> => Bytes, Clone::clone;
    Uuid => Uuid, |v| v;
    DateTime<Utc> => Time, |v| v;
    UserId => Int, UserId::get;
    FolderId => Uuid, FolderId::get;
    FileId => Uuid, FileId::get;
    VersionId => Uuid, VersionId::get;
    BlobId => Uuid, BlobId::get;
    SessionId => Uuid, SessionId::get;
    ReservationId => Uuid, ReservationId::get;
    TrashId => Uuid, TrashId::get;
    ActivityId => Uuid, ActivityId::get;
    ShareId => Uuid, ShareId::get;
    InstanceId => Uuid, InstanceId::get;
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        Self::Json(value)
    }
}

/// A row type that either engine can fill.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// Where a statement runs.
pub(super) enum On<'c> {
    SqlitePool(&'c SqlitePool),
    Sqlite(&'c mut SqliteConnection),
    PostgresPool(&'c PgPool),
    Postgres(&'c mut PgConnection),
}

/// A statement with its values.
pub struct Query<'c> {
    pub(super) on: On<'c>,
    pub(super) sql: Cow<'static, str>,
    pub(super) values: Vec<Value>,
    /// Whether the connection keeps the statement, and in the end one plan for all values.
    pub(super) is_cached: bool,
}

macro_rules! fetch {
    ($self:ident, $row:ty, $fetch:ident) => {{
        // Only text made of literals and numbered placeholders gets here; user input is always bound.
        let sql = AssertSqlSafe($self.sql.into_owned());
        match $self.on {
            On::SqlitePool(on) => {
                sqlx::query_as_with::<_, $row, _>(sql, bind_sqlite($self.values)?)
                    .persistent($self.is_cached)
                    .$fetch(on)
                    .await
            }
            On::Sqlite(on) => {
                sqlx::query_as_with::<_, $row, _>(sql, bind_sqlite($self.values)?)
                    .persistent($self.is_cached)
                    .$fetch(on)
                    .await
            }
            On::PostgresPool(on) => {
                sqlx::query_as_with::<_, $row, _>(sql, bind_postgres($self.values)?)
                    .persistent($self.is_cached)
                    .$fetch(on)
                    .await
            }
            On::Postgres(on) => {
                sqlx::query_as_with::<_, $row, _>(sql, bind_postgres($self.values)?)
                    .persistent($self.is_cached)
                    .$fetch(on)
                    .await
            }
        }
        .map_err(DbError::from)
    }};
}

impl Query<'_> {
    /// Binds the next numbered placeholder.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Has the statement planned for these values. PostgreSQL's plan for any value looks through the table where
    /// the best one depends on how rare the value is.
    pub fn plan_anew(mut self) -> Self {
        self.is_cached = false;
        self
    }

    pub fn bind_i32(mut self, value: usize) -> Self {
        self.values.push(Value::SmallInt(i32::try_from(value).unwrap_or(i32::MAX)));
        self
    }

    pub fn bind_all<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// # Errors
    /// The database's, and [`DbError::RowNotFound`] when there is none.
    pub async fn one<T: Row>(self) -> Result<T, DbError> {
        fetch!(self, T, fetch_one)
    }

    /// # Errors
    /// The database's.
    pub async fn opt<T: Row>(self) -> Result<Option<T>, DbError> {
        fetch!(self, T, fetch_optional)
    }

    /// # Errors
    /// The database's.
    pub async fn all<T: Row>(self) -> Result<Vec<T>, DbError> {
        fetch!(self, T, fetch_all)
    }

    /// The first column of the only row.
    ///
    /// # Errors
    /// As [`Query::one`].
    pub async fn scalar<T>(self) -> Result<T, DbError>
    where
        (T,): Row,
    {
        Ok(self.one::<(T,)>().await?.0)
    }

    /// Runs the statement; gives the number of rows it changed.
    ///
    /// # Errors
    /// The database's.
    pub async fn exec(self) -> Result<u64, DbError> {
        let sql = AssertSqlSafe(self.sql.into_owned());
        let changed = match self.on {
            On::SqlitePool(on) => {
                sqlx::query_with(sql, bind_sqlite(self.values)?).execute(on).await?.rows_affected()
            }
            On::Sqlite(on) => {
                sqlx::query_with(sql, bind_sqlite(self.values)?).execute(on).await?.rows_affected()
            }
            On::PostgresPool(on) => {
                sqlx::query_with(sql, bind_postgres(self.values)?).execute(on).await?.rows_affected()
            }
            On::Postgres(on) => {
                sqlx::query_with(sql, bind_postgres(self.values)?).execute(on).await?.rows_affected()
            }
        };
        Ok(changed)
    }
}

macro_rules! binder {
    ($name:ident, $arguments:ty) => {
        fn $name(values: Vec<Value>) -> Result<$arguments, DbError> {
            let mut arguments = <$arguments>::default();
            for value in values {
                match value {
                    Value::Bool(v) => arguments.add(v),
                    Value::Int(v) => arguments.add(v),
                    Value::SmallInt(v) => arguments.add(v),
                    Value::Text(v) => arguments.add(v),
                    Value::Bytes(v) => arguments.add(v),
                    Value::Uuid(v) => arguments.add(v),
                    Value::Time(v) => arguments.add(v),
                    Value::Json(v) => arguments.add(sqlx::types::Json(v)),
                }
                .map_err(|source| DbError::Other(sqlx::Error::Encode(source)))?;
            }
            Ok(arguments)
        }
    };
}

binder!(bind_sqlite, SqliteArguments);
binder!(bind_postgres, PgArguments);

/// `$first,$first+1,…` for an `IN` list of `count` values.
pub fn placeholders(first: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 5);
    for n in first..first + count {
        if n > first {
            text.push(',');
        }
        text.push('$');
        text.push_str(&n.to_string());
    }
    text
}
