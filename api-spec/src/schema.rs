//! OpenAPI schemas of types whose text form is the contract.

use serde::{Deserialize, Deserializer, de};

/// The maximum number in a body: the largest that every database and most languages can hold.
pub(crate) const NUMBER_MAX: u64 = i64::MAX as u64;

/// Deserializes an optional number of at most [`NUMBER_MAX`].
pub(crate) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let number = Option::<u64>::deserialize(from)?;
    match number {
        Some(number) if number > NUMBER_MAX => {
            let expected = "a number of at most 9223372036854775807";
            Err(de::Error::invalid_value(de::Unexpected::Unsigned(number), &expected))
        }
        number => Ok(number),
    }
}

/// Describes an enum by the texts of its `ALL`. The derive does not see names written by a macro.
macro_rules! of_texts {
    ($name:ident, $doc:literal) => {
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some($doc))
                    .enum_values(Some(Self::ALL.iter().map(|value| value.as_str())))
                    .build()
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($name))
            }
        }
    };
}

pub(crate) use of_texts;
