//! Rows that go to Postgres as one array of a composite type (`docs/decisions/0072-rows-in-arrays.md`).

/// `$row` is a row of the composite type `$name`: an array of them is bound as `$name[]`. It derives `sqlx::Encode`, and its
/// fields are the type's, in its order.
#[macro_export]
macro_rules! rows {
    ($row:ident, $name:literal) => {
        impl sqlx::Type<sqlx::Postgres> for $row<'_> {
            fn type_info() -> sqlx::postgres::PgTypeInfo {
                sqlx::postgres::PgTypeInfo::with_name($name)
            }
        }

        impl sqlx::postgres::PgHasArrayType for $row<'_> {
            fn array_type_info() -> sqlx::postgres::PgTypeInfo {
                sqlx::postgres::PgTypeInfo::array_of($name)
            }
        }
    };
}
