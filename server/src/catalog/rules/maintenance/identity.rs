//! The identity of the registry, and the store it is bound to.

use crate::catalog::id::{Identity, RegistryId};
use crate::catalog::tx::{Tx, TxResult, args};

/// Returns the identity, if one was given.
pub(in crate::catalog) fn get(tx: &mut dyn Tx) -> TxResult<Option<Identity>> {
    tx.find("SELECT registry, store FROM identity", args![], |row| {
        Ok(Identity {
            registry: RegistryId::from_bytes(row.id(0)?),
            store: row.text_or_none(1)?.map(str::to_owned),
        })
    })
}

/// Returns the identity. Gives the registry this id if it has none.
pub(in crate::catalog) fn give(tx: &mut dyn Tx, registry: RegistryId) -> TxResult<Identity> {
    if let Some(identity) = get(tx)? {
        return Ok(identity);
    }
    tx.run("INSERT INTO identity (id, registry) VALUES (1, $1)", args![registry])?;
    Ok(Identity { registry, store: None })
}

/// Binds the registry to the store at an address.
pub(in crate::catalog) fn bind(tx: &mut dyn Tx, store: &str) -> TxResult<()> {
    tx.run("UPDATE identity SET store = $1", args![store]).map(|_| ())
}
