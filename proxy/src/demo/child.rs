//! A program whose life is tied to ours.
//!
//! The kernel's parent-death signal ends a process when the thread that started it ends, however
//! that came about. It must be asked for inside the new process, between `fork` and `exec`, where
//! safe Rust cannot reach; so the new process is first our own executable, called as
//! [`SUBCOMMAND`], which asks and then becomes the program.

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::Path,
    process::{self, Command},
};

use rustix::process::{Pid, Signal};

use super::error::DemoError;

/// What our executable is called with to become a child. The command line's parser does not know it,
/// so that no help, completion or suggestion shows it.
pub const SUBCOMMAND: &str = "demo-child";

/// Builds the command that starts `program` as a child that ends with the calling *thread*.
///
/// `launcher` is promgate's executable.
pub(super) fn command(launcher: &Path, program: &Path) -> Command {
    let mut command = Command::new(launcher);
    command.arg(SUBCOMMAND).arg("--").arg(process::id().to_string()).arg(program);
    // A Ctrl-C in the terminal is for us alone: calls in flight still need their backend.
    command.process_group(0);
    command
}

/// Becomes the program named in `args`, to be killed when the parent process ends.
///
/// `args` is what follows `promgate demo-child --`: the parent's process id, the program, and the
/// program's own arguments. The id tells a parent that is still there from one that died before
/// the signal was asked for, even where the parent is process 1 of a container.
///
/// Returns only when that failed.
#[must_use]
pub fn exec(args: &[OsString]) -> DemoError {
    let [parent, program, rest @ ..] = args else { return DemoError::ChildUsage };
    let Some(parent) = parent.to_str().and_then(|id| id.parse().ok()).and_then(Pid::from_raw)
    else {
        return DemoError::ChildUsage;
    };
    // Not SIGTERM: what would be shut down gently is thrown away, and KILL cannot be ignored.
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return DemoError::Tie(error.into());
    }
    if rustix::process::getppid() != Some(parent) {
        return DemoError::Orphaned;
    }
    become_program(program, rest)
}

fn become_program(program: &OsStr, args: &[OsString]) -> DemoError {
    let source = Command::new(program).args(args).exec();
    DemoError::Start { program: program.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_process_id_is_refused() {
        for args in [vec![], vec!["true".into()], vec!["x".into(), "true".into()]] {
            assert!(matches!(exec(&args), DemoError::ChildUsage), "{args:?}");
        }
    }
}
