//! What the simulation did: a run that met no sweep proves nothing.

use std::fmt;
use std::ops::AddAssign;

use crate::app::collect::Collected;

macro_rules! tally {
    ($($(#[$doc:meta])* $field:ident: $words:literal,)*) => {
        /// How often things happened.
        #[derive(Clone, Copy, Default, Debug)]
        pub(super) struct Tally { $($(#[$doc])* pub(super) $field: u64,)* }

        impl Tally {
            /// Whether everything happened at least once.
            pub(super) fn has_all(&self) -> bool {
                [$(self.$field),*].iter().all(|count| *count > 0)
            }
        }

        impl AddAssign for Tally {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
            }
        }

        impl fmt::Display for Tally {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let counts = [$((self.$field, $words)),*];
                for (at, (count, words)) in counts.iter().enumerate() {
                    write!(f, "{}{count} {words}", if at > 0 { ", " } else { "" })?;
                }
                Ok(())
            }
        }
    };
}

tally! {
    seeds: "seeds",
    turns: "turns",
    crashes: "crashes",
    clock_jumps: "clock jumps",
    /// Pushes that were answered.
    published: "releases published",
    /// Pulls that read every byte.
    pulled: "releases pulled",
    deleted: "releases deleted",
    /// Collections that ended without an error.
    collections: "collections",
    /// Those of them that found an older lease alive.
    waits: "waits for older leases",
    repacked: "packs repacked",
    /// In collections that crashed too.
    condemned: "condemnations",
    /// In collections that crashed too.
    sweeps: "sweeps begun",
    swept: "packs and objects swept",
}

impl Tally {
    /// Notes a collection.
    pub(super) fn collected(&mut self, done: &Collected) {
        self.collections += 1;
        self.waits += u64::from(done.waits_for.is_some());
        self.repacked += done.swept.repacked_count;
        self.swept += done.swept.pack_count + done.swept.object_count;
    }
}
