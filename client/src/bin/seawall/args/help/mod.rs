//! The help of the command line and its man pages: the definition that `clap` parses by, the groups
//! of commands, and examples.

pub(crate) mod definition;
mod examples;
mod groups;
pub(crate) mod pages;

/// The exit statuses, on `--help` and on every man page.
const EXIT_STATUS: &str = "  0    done
  1    failed for another reason
  2    wrong usage: an argument, an application.toml or an image file cannot be right
  3    not found: application, release, channel or file
  4    conflict: the version is taken, the channel moved, something holds the release, a disk is
       in use or modified by a guest
  5    damaged: bytes are not what their digest says
  6    the registry cannot be reached, or it or a disk cannot serve now
  7    denied: by the registry (the token) or by this host (owner and mode of a file)
  8    no space left, here or at the registry
  129  the same as 130, by SIGHUP, unless it is ignored as under nohup
  130  interrupted: push, pull, patch and repair resume; what convert and export wrote is removed
  141  the reader of standard output went away (export, convert)
  143  the same as 130, by SIGTERM";

/// The explanation of references and tokens, on `--help` and on the man page.
const REFERENCES: &str = "\
A REFERENCE names a release: application:version, application:channel or
application@blake3:DIGEST (8 digits or more, as far as they are unique), with [host[:port]/]
before it and [/machine] after it where that makes sense. A REFERENCE that begins with : or @ is
of the release in the current directory. The registry is, in this order: --registry,
SEAWALL_REGISTRY, the reference's host or where the directory was pulled from, the configuration
file.

SEAWALL_TOKEN may hold the token, and SEAWALL_TOKEN_FILE name its file: both are for the registry
that --registry, SEAWALL_REGISTRY or the configuration file names, and are sent to no other.";
