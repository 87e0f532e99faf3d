//! Random ids of 128 bits, which cannot be guessed. In text: 32 lower-case hexadecimal digits.

/// Defines an id type and the error of parsing one.
macro_rules! random_id {
    ($(#[$doc:meta])* $id:ident, $invalid:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $id([u8; 16]);

        #[doc = concat!("A text that is not a ", $noun, "'s name.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        #[error("a {} is named by 32 lower-case hexadecimal digits", $noun)]
        pub struct $invalid;

        impl $id {
            /// Makes an id of 16 random bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Returns the bytes of the id.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl std::str::FromStr for $id {
            type Err = $invalid;

            fn from_str(text: &str) -> Result<Self, $invalid> {
                if text.bytes().any(|b| b.is_ascii_uppercase()) {
                    return Err($invalid);
                }
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| $invalid)?;
                Ok(Self(bytes))
            }
        }

        impl std::fmt::Display for $id {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
    };
}

random_id! {
    /// The id of a lease.
    LeaseId, InvalidLeaseId, "lease"
}

random_id! {
    /// The id of a webhook.
    WebhookId, InvalidWebhookId, "webhook"
}

random_id! {
    /// The id of a registry.
    RegistryId, InvalidRegistryId, "registry"
}

/// The identity of a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The id.
    pub registry: RegistryId,
    /// The address of the store outside the data directory that the registry is bound to.
    pub store: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_text_and_no_other_text_is_one() {
        let id = LeaseId::from_bytes([0xab; 16]);
        let text = "ab".repeat(16);
        assert_eq!((id.to_string(), text.parse()), (text.clone(), Ok(id)));
        for bad in ["", "ab", &text.to_uppercase(), &text[1..], &format!("{text}00"), "g\u{e9}"] {
            assert_eq!(bad.parse::<LeaseId>(), Err(InvalidLeaseId), "{bad}");
        }
        let said = "no".parse::<WebhookId>().unwrap_err().to_string();
        assert_eq!(said, "a webhook is named by 32 lower-case hexadecimal digits");
    }
}
