//! Tests of errors caused by the operating system: each keeps the kind of its cause.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use seawall_store::error::io_error;
use seawall_store::image::ImageError;
use seawall_store::image::convert::ConvertError;
use seawall_store::read::{ReadError, SourceError};
use seawall_store::scan::ScanError;

use super::*;
use crate::convert::ConvertFailure;
use crate::describe::DescribeError;
use crate::directory::LockError;
use crate::disk::DiskError;
use crate::export::ExportError;
use crate::fetch::FetchError;
use crate::host::ImageLockError;
use crate::ovf::OvfError;
use crate::patch::PatchError;
use crate::pull::PullError;
use crate::push::PushError;
use crate::repair::RepairError;
use crate::resolve::ResolveError;
use crate::spec::SpecError;
use crate::verify::VerifyError;

/// Linux error numbers and their kinds.
const REFUSALS: [(i32, ErrorKind); 12] = [
    (2, ErrorKind::NotFound),      // ENOENT
    (1, ErrorKind::Denied),        // EPERM
    (13, ErrorKind::Denied),       // EACCES
    (30, ErrorKind::Denied),       // EROFS
    (28, ErrorKind::StorageFull),  // ENOSPC
    (122, ErrorKind::StorageFull), // EDQUOT
    (27, ErrorKind::StorageFull),  // EFBIG
    (5, ErrorKind::Unavailable),   // EIO
    (24, ErrorKind::Unavailable),  // EMFILE
    (116, ErrorKind::Unavailable), // ESTALE
    (16, ErrorKind::Conflict),     // EBUSY
    (20, ErrorKind::InvalidInput), // ENOTDIR
];

/// Checks an error enum. The match has no wildcard, so a new variant needs a sample or a place in
/// the list of variants without an I/O cause.
macro_rules! check {
    ($error:ident: $($pattern:pat => $sample:expr),+; $($other:pat),*) => {{
        fn _covers(error: &$error) {
            match error { $($pattern => (),)+ $($other => (),)* }
        }
        let samples: Vec<(&str, fn(io::Error) -> $error)> =
            vec![$((stringify!($pattern), $sample)),+];
        for (pattern, sample) in samples {
            for (code, kind) in REFUSALS {
                let error = sample(io::Error::from_raw_os_error(code));
                let what = format!("{}: {pattern} of {code}", stringify!($error));
                assert!(io_error(&error).is_some(), "{what} hides its cause");
                assert_eq!(error.kind(), kind, "{what}");
                if kind == ErrorKind::StorageFull || code == 5 {
                    assert!(error.remedy().is_some(), "{what} has no next step");
                }
            }
        }
    }};
}

fn host(source: io::Error) -> HostError {
    HostError { verb: "write", path: PathBuf::from("file"), source }
}

fn image(source: io::Error) -> ImageError {
    ImageError::Io { verb: "read", path: PathBuf::from("disk.raw"), source }
}

fn read(io: io::Error) -> Arc<ReadError> {
    Arc::new(SourceError::from(kept(io)).into())
}

fn kept(source: io::Error) -> RegistryError {
    RegistryError::Kept { path: PathBuf::from("backup"), source }
}

fn spec(source: io::Error) -> SpecError {
    SpecError::Read { path: PathBuf::from("application.toml"), source }
}

#[test]
fn errors_of_what_is_on_this_host_have_the_kind_of_their_cause() {
    use DescribeError as D;
    use LockError as L;
    use OvfError as O;
    use SpecError as S;
    check!(HostError: HostError { .. } => host;);
    check!(LockError: L::Host(_) => |io| L::Host(host(io));
        L::Missing { .. }, L::NoDirectory { .. }, L::NotDirectory { .. }, L::Malformed { .. },
        L::InProgress { .. },
        L::Contradiction { .. });
    check!(DescribeError: D::Host(_) => |io| D::Host(host(io)),
        D::Lock(_) => |io| D::Lock(L::Host(host(io)));
        D::InProgress { .. });
    check!(SpecError: S::Read { .. } => spec;
        S::TooLong { .. }, S::Toml { .. }, S::Flag { .. }, S::Name(_), S::Rule(_),
        S::Limits(_), S::Architecture { .. });
    check!(OvfError:
        O::Io { .. } => |source| O::Io { verb: "read", path: PathBuf::from("a.ova"), source },
        O::Scratch { .. } => |source| O::Scratch { folders: vec![PathBuf::from("/tmp")], source },
        O::Spec(_) => |io| O::Spec(spec(io)),
        O::Image(_) => |io| O::Image(image(io));
        O::Xml { .. }, O::Envelope { .. }, O::Unsupported { .. }, O::Archive { .. },
        O::Missing { .. }, O::Escapes { .. }, O::Unattached { .. },
        O::NotStated { .. }, O::Endless { .. }, O::Manifest { .. }, O::Digest { .. });
    check!(DiskError: DiskError::Image(_) => |io| DiskError::Image(image(io)),
        DiskError::InUse(_) => |io| DiskError::InUse(ImageLockError::Host(host(io))),
        DiskError::Scratch { .. } =>
            |source| DiskError::Scratch { folder: PathBuf::from("/tmp"), source };
        DiskError::Inflate { .. }, DiskError::TooLong { .. }, DiskError::NoRoom { .. });
    check!(ConvertFailure:
        ConvertFailure::Disk(_) => |io| ConvertFailure::Disk(DiskError::Image(image(io))),
        ConvertFailure::Convert(_) => |io| ConvertFailure::Convert(ConvertError::Write(io));
        ConvertFailure::NoRoom(_), ConvertFailure::Defect);
}

#[test]
fn errors_of_flows_have_the_kind_of_their_cause() {
    use ExportError as E;
    use FetchError as F;
    use LockError as L;
    use PushError as P;
    use RegistryError as R;
    use VerifyError as V;
    check!(RegistryError: R::Kept { .. } => kept;
        R::Problem { .. }, R::Status { .. }, R::Unreachable { .. }, R::Stalled { .. },
        R::Protocol { .. }, R::WrongBytes { .. }, R::TooLarge { .. }, R::NoToken { .. }, R::Depot(_));
    check!(FetchError: F::Read(_) => |io| F::Read(read(io)),
        F::Host(_) => |io| F::Host(host(io)););
    check!(ExportError: E::Registry(_) => |io| E::Registry(kept(io)),
        E::Resolve(_) => |io| E::Resolve(ResolveError::Host(host(io))),
        E::Read(_) => |io| E::Read(read(io)),
        E::Host(_) => |io| E::Host(host(io)),
        E::Convert(_) => |io| E::Convert(ConvertError::Write(io));
        E::Name(_), E::NoRoom(_), E::NoSuch { .. }, E::WrongIndex { .. }, E::Defect);
    check!(ResolveError: ResolveError::Registry(_) => |io| ResolveError::Registry(kept(io)),
        ResolveError::Host(_) => |io| ResolveError::Host(host(io)),
        ResolveError::Lock(_) => |io| ResolveError::Lock(L::Host(host(io)));
        ResolveError::NoLockfile { .. }, ResolveError::LockedElsewhere { .. },
        ResolveError::WrongIndex { .. });
    check!(PushError: P::Registry(_) => |io| P::Registry(kept(io)),
        P::Package(_) => |io| P::Package(OvfError::Image(image(io))),
        P::Disk(_) => |io| P::Disk(DiskError::Image(image(io))),
        P::Scan { .. } => |io| P::Scan { path: "a".into(), source: ScanError::Image(image(io)) };
        P::Changed { .. }, P::VersionTaken { .. }, P::VersionDeleted { .. }, P::Release(_),
        P::Defect);
    check!(VerifyError: V::Lock(_) => |io| V::Lock(L::Host(host(io))),
        V::Host(_) => |io| V::Host(host(io)),
        V::Registry(_) => |io| V::Registry(kept(io)),
        V::Read(_) => |io| V::Read(read(io)),
        V::Scan(_) => |io| V::Scan(ScanError::Image(image(io)));
        V::InProgress { .. }, V::Defect);
    check!(RepairError: RepairError::Registry(_) => |io| RepairError::Registry(kept(io)),
        RepairError::Lock(_) => |io| RepairError::Lock(L::Host(host(io))),
        RepairError::Host(_) => |io| RepairError::Host(host(io));
        RepairError::Defect);
}

#[test]
fn errors_of_pulled_directories_have_the_kind_of_their_cause() {
    use FetchError as F;
    use LockError as L;
    use PatchError as P;
    use PullError as Q;
    check!(PullError: Q::Registry(_) => |io| Q::Registry(kept(io)),
        Q::Resolve(_) => |io| Q::Resolve(ResolveError::Host(host(io))),
        Q::Fetch(_) => |io| Q::Fetch(F::Host(host(io))),
        Q::Host(_) => |io| Q::Host(host(io)),
        Q::Lock(_) => |io| Q::Lock(L::Host(host(io))),
        Q::Verify(_) => |io| Q::Verify(VerifyError::Host(host(io)));
        Q::NotEmpty { .. }, Q::InTheWay { .. }, Q::NoRoom(_), Q::OtherRelease { .. }, Q::OtherDisks { .. },
        Q::PresentDamaged { .. }, Q::PresentModified { .. },
        Q::NoName { .. }, Q::NoSuchMachine { .. }, Q::OddLength { .. }, Q::Defect);
    check!(PatchError: P::Registry(_) => |io| P::Registry(kept(io)),
        P::Resolve(_) => |io| P::Resolve(ResolveError::Host(host(io))),
        P::Fetch(_) => |io| P::Fetch(F::Host(host(io))),
        P::Host(_) => |io| P::Host(host(io)),
        P::Lock(_) => |io| P::Lock(L::Host(host(io))),
        P::Image(_) => |io| P::Image(image(io)),
        P::Scan { .. } => |io| P::Scan { path: "a".into(), source: ScanError::Image(image(io)) },
        P::InUse(_) => |io| P::InUse(ImageLockError::Host(host(io)));
        P::NoRoom(_), P::Changed { .. }, P::Written { .. }, P::Changing { .. }, P::WrittenBetween { .. },
        P::InProgress { .. }, P::Journal { .. }, P::OtherJournal { .. },
        P::Foreign { .. }, P::NoSuchMachine { .. }, P::OddLength { .. }, P::Defect);
}
