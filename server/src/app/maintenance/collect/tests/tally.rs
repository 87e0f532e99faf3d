//! The counts of events in a simulation. A run without a sweep proves nothing.

use std::fmt;
use std::ops::AddAssign;

use crate::app::maintenance::collect::Collected;

macro_rules! tally {
    ($($(#[$doc:meta])* $field:ident: $words:literal,)*) => {
        /// The number of occurrences of each event.
        #[derive(Clone, Copy, Default, Debug)]
        pub(super) struct Tally { $($(#[$doc])* pub(super) $field: u64,)* }

        impl Tally {
            /// Returns whether every event occurred at least once.
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
    /// Acknowledged pushes.
    published: "releases published",
    /// Pulls of every byte.
    pulled: "releases pulled",
    deleted: "releases deleted",
    /// Collections without an error.
    collections: "collections",
    /// Collections that found an older lease alive.
    waits: "waits for older leases",
    repacked: "packs repacked",
    /// Includes collections that crashed.
    condemned: "condemnations",
    /// Includes collections that crashed.
    sweeps: "sweeps begun",
    swept: "packs and objects swept",
}

impl Tally {
    /// Counts a collection.
    pub(super) fn collected(&mut self, done: &Collected) {
        self.collections += 1;
        self.waits += u64::from(done.waits_for.is_some());
        self.repacked += done.swept.repacked_count;
        self.swept += done.swept.pack_count + done.swept.object_count;
    }
}
