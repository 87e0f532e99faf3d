//! The help of the command line and its man pages: the definition that `clap` parses by, the groups
//! of commands, and examples.

pub(crate) mod definition;
mod examples;
mod groups;
pub(crate) mod pages;

/// The exit statuses, on `--help` and on every man page.
const EXIT_STATUS: &str = "  0    done
  1    failed for another reason
  2    invalid input: an argument, an application.toml or an image file
  3    not found: application, release, channel or file
  4    conflict: the version is taken, the channel moved, something holds the release, a disk is
       in use or modified by a guest
  5    damaged: bytes do not match their digest
  6    the registry cannot be reached, or it or a disk is temporarily unavailable
  7    denied: by the registry (the token) or by this host (owner and mode of a file, a read-only
       file system)
  8    no space left, here or at the registry, or a quota is exceeded
  129  the same as 130, by SIGHUP, unless SIGHUP is ignored as under nohup
  130  interrupted: push, pull, patch, copy, repair and relocate resume; output of convert, export
       and backup is removed
  141  the reader of standard output went away (export, convert)
  143  the same as 130, by SIGTERM";

/// The explanation of references and tokens, on `--help` and on the man page.
const REFERENCES: &str = "\
A REFERENCE names a release: application:version, application:channel or
application@blake3:DIGEST (at least 8 digits, enough to be unique). [host[:port]/] may precede
it, and [/machine] may follow where a command takes a machine. A REFERENCE that begins with : or
@ belongs to the application of the release in the current directory. The registry is the first
of: --registry, SEAWALL_REGISTRY, the host in the reference or the registry that the directory
was pulled from, the configuration file.

SEAWALL_TOKEN holds the token, or SEAWALL_TOKEN_FILE names a file with it. Both are for the
registry in --registry, SEAWALL_REGISTRY or the configuration file, and are sent to no other.";
